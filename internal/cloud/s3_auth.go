package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/secret"
)

// An s3Login gives the credentials that requests are signed with, and can take new ones.
type s3Login struct {
	config s3Config
	env    Env

	mu       sync.Mutex
	provider aws.CredentialsProvider // keeps what it has until it expires
	last     aws.Credentials         // what it gave last
}

func newS3Login(ctx context.Context, c s3Config, env Env) (*s3Login, error) {
	l := &s3Login{config: c, env: env}
	env.tell(secret.New(env.variable(containerToken)))
	var err error
	l.provider, err = l.build(ctx)
	return l, err
}

// Retrieve is called for every request.
func (l *s3Login) Retrieve(ctx context.Context) (aws.Credentials, error) {
	l.mu.Lock()
	provider := l.provider
	l.mu.Unlock()
	creds, err := provider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, &s3LoginError{err, l.quote()}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if provider == l.provider {
		l.note(creds)
	}
	return creds, nil
}

// quote quotes the services that give credentials.
func (l *s3Login) quote() quoter {
	return quoter{l.env.Secrets, []string{l.tokenFile(), l.env.variable(containerTokenFile)}}
}

// tokenFile is the file of the web identity's token, if there is one.
func (l *s3Login) tokenFile() string {
	return cmp.Or(l.config.auth.tokenFile, l.env.variable("AWS_WEB_IDENTITY_TOKEN_FILE"))
}

// note remembers what requests are signed with, has it scrubbed, and says whether it is other than before. REQUIRES: l.mu.
func (l *s3Login) note(creds aws.Credentials) (changed bool) {
	keys := func(c aws.Credentials) [3]string {
		return [...]string{c.AccessKeyID, c.SecretAccessKey, c.SessionToken}
	}
	if changed = keys(creds) != keys(l.last); changed {
		l.env.tell(secret.New(creds.AccessKeyID), secret.New(creds.SecretAccessKey), secret.New(creds.SessionToken))
	}
	l.last = creds
	return changed
}

// renew reads everything anew: references to secrets, files, the token service.
func (l *s3Login) renew(ctx context.Context) (changed bool, err error) {
	provider, creds, err := l.anew(ctx)
	if err != nil {
		return false, &s3LoginError{err, l.quote()}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.provider = provider
	return l.note(creds), nil
}

func (l *s3Login) anew(ctx context.Context) (aws.CredentialsProvider, aws.Credentials, error) {
	a := l.config.auth
	if _, err := secret.Renew(ctx, a.keyID, a.key, a.token); err != nil {
		return nil, aws.Credentials{}, err
	}
	provider, err := l.build(ctx)
	if err != nil {
		return nil, aws.Credentials{}, err
	}
	creds, err := provider.Retrieve(ctx)
	return provider, creds, err
}

// renewBefore is how long before they expire temporary credentials are replaced.
const renewBefore = 5 * time.Minute

func (l *s3Login) build(ctx context.Context) (aws.CredentialsProvider, error) {
	var chain s3Chain
	for _, source := range l.config.auth.sources {
		p, err := l.source(ctx, source)
		if err != nil {
			return nil, err
		}
		chain = append(chain, p)
	}
	return aws.NewCredentialsCache(chain, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = renewBefore }), nil
}

// An s3Chain asks providers in order until one has credentials.
type s3Chain []aws.CredentialsProvider

func (c s3Chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	var errs []error
	for _, p := range c {
		creds, err := p.Retrieve(ctx)
		if err == nil {
			return creds, nil
		}
		errs = append(errs, err)
	}
	return aws.Credentials{}, errors.Join(errs...)
}

func (l *s3Login) source(ctx context.Context, source s3Source) (aws.CredentialsProvider, error) {
	a := l.config.auth
	switch source {
	case s3Static:
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return staticKeys(a) }), nil
	case s3Environment:
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return l.variables() }), nil
	case s3WebIdentity:
		return l.webIdentity(ctx)
	case s3Instance:
		return l.instance()
	case s3FromProfile:
		cfg, err := l.config.load(ctx, l.env, true)
		return cfg.Credentials, err
	}
	// What the SDK would find in the environment is read through Env.
	has := func(name string) bool { return l.env.variable(name) != "" }
	switch {
	case has("AWS_ACCESS_KEY_ID") && has("AWS_SECRET_ACCESS_KEY"):
		return l.source(ctx, s3Environment)
	case has("AWS_WEB_IDENTITY_TOKEN_FILE") && has("AWS_ROLE_ARN"):
		return l.source(ctx, s3WebIdentity)
	}
	cfg, err := l.config.load(ctx, l.env, true)
	return cfg.Credentials, err
}

// staticKeys are those of the options.
func staticKeys(a s3Auth) (aws.Credentials, error) {
	if a.keyID.IsZero() || a.key.IsZero() {
		return aws.Credentials{}, errors.New("the options have no key")
	}
	return aws.Credentials{AccessKeyID: a.keyID.Reveal(), SecretAccessKey: a.key.Reveal(), SessionToken: a.token.Reveal(), Source: "options"}, nil
}

// variables are the keys of the environment.
func (l *s3Login) variables() (aws.Credentials, error) {
	id := l.env.variable("AWS_ACCESS_KEY_ID")
	key := l.env.variable("AWS_SECRET_ACCESS_KEY")
	token := l.env.variable("AWS_SESSION_TOKEN")
	if id == "" || key == "" {
		return aws.Credentials{}, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
	}
	return aws.Credentials{AccessKeyID: id, SecretAccessKey: key, SessionToken: token, Source: "environment"}, nil
}

// webIdentity exchanges the token in a file for a role's credentials at the token service.
func (l *s3Login) webIdentity(ctx context.Context) (aws.CredentialsProvider, error) {
	a := l.config.auth
	file, role := l.tokenFile(), cmp.Or(a.role, l.env.variable("AWS_ROLE_ARN"))
	if file == "" || role == "" {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("there is no web identity")
		}), nil
	}
	cfg, err := l.config.load(ctx, l.env, false)
	if err != nil {
		return nil, err
	}
	client := sts.NewFromConfig(cfg, func(o *sts.Options) { o.Retryer = aws.NopRetryer{} })
	return stscreds.NewWebIdentityRoleProvider(client, role, stscreds.IdentityTokenFile(file), func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = cmp.Or(a.session, l.env.variable("AWS_ROLE_SESSION_NAME"), "silt")
	}), nil
}

// The variables of what a container logs in with to its agent. The SDK reads them, too.
const (
	containerToken     = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
	containerTokenFile = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
)

// containerHosts are those that may be asked for the credentials of a container by http (AWS SDKs, "Container credential provider").
var containerHosts = []string{"169.254.170.2", "169.254.170.23", "fd00:ec2::23"}

// instance asks the container's agent if there is one, else the machine's metadata service.
func (l *s3Login) instance() (aws.CredentialsProvider, error) {
	relative := l.env.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
	full := l.env.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if relative != "" {
		full = "http://169.254.170.2" + relative
	}
	if full == "" {
		endpoint := l.env.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT")
		return ec2rolecreds.New(func(o *ec2rolecreds.Options) {
			o.Client = imds.New(imds.Options{Endpoint: endpoint, Retryer: aws.NopRetryer{}, HTTPClient: credentialsClient(l.env)})
		}), nil
	}
	u, err := url.Parse(full)
	if err != nil || u.Scheme != "https" && !option.Loopback(u.Hostname()) && !slices.Contains(containerHosts, u.Hostname()) {
		return nil, fmt.Errorf("AWS_CONTAINER_CREDENTIALS_FULL_URI is %q; want https, or a container's own agent", full)
	}
	return endpointcreds.New(full, func(o *endpointcreds.Options) {
		o.Retryer, o.HTTPClient = aws.NopRetryer{}, credentialsClient(l.env)
		o.AuthorizationToken = l.env.variable(containerToken)
		if file := l.env.variable(containerTokenFile); file != "" {
			o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
				text, err := option.ReadFile(file, maxToken)
				return strings.TrimSpace(string(text)), err
			})
		}
	}), nil
}

// load reads what the AWS SDKs read on every machine: variables and the files in ~/.aws; withCredentials finds credentials, too.
func (c s3Config) load(ctx context.Context, env Env, withCredentials bool) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }), config.WithHTTPClient(credentialsClient(env)),
		// The SDK's own would write what connections end with to standard error, past whoever looks at what goes there.
		config.WithLogger(logging.Nop{}),
	}
	if c.region != "" {
		options = append(options, config.WithRegion(c.region))
	}
	if profile := cmp.Or(c.auth.profile, env.variable("AWS_PROFILE")); profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	if credentials := cmp.Or(c.auth.profileFile, env.variable("AWS_SHARED_CREDENTIALS_FILE")); credentials != "" {
		options = append(options, config.WithSharedCredentialsFiles([]string{credentials}))
	}
	if file := env.variable("AWS_CONFIG_FILE"); file != "" {
		options = append(options, config.WithSharedConfigFiles([]string{file}))
	}
	if !withCredentials {
		options = append(options, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the configuration of AWS: %w", err)
	}
	return cfg, nil
}

// credentialsClient asks services that give credentials. They are asked once an hour: no connection is kept for that.
func credentialsClient(env Env) config.HTTPClient {
	if env.Transport != nil {
		return newClient(env.Transport)
	}
	// One that the SDK can build on: it adds the authorities of AWS_CA_BUNDLE.
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })
}
