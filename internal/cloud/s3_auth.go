package cloud

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// An s3Source is one place where credentials can come from.
type s3Source uint8

const (
	s3Default     s3Source = iota // what the AWS SDK finds
	s3Static                      // the options' keys
	s3Environment                 // AWS_ACCESS_KEY_ID, ...
	s3FromProfile
	s3WebIdentity
	s3Instance // the container's or the machine's role
	s3Anonymous
)

// String is the source's name in messages.
func (s s3Source) String() string {
	return [...]string{"default", "static", "environment", "profile", "web", "instance", "anonymous"}[s]
}

// s3Classes are the providers that Hadoop's fs.s3a.aws.credentials.provider names, without their packages: hadoop-aws's own (Hadoop's
// "Authenticating with S3"), and those of AWS's SDKs for Java.
var s3Classes = map[string]s3Source{
	"SimpleAWSCredentialsProvider":            s3Static,
	"TemporaryAWSCredentialsProvider":         s3Static,
	"AnonymousAWSCredentialsProvider":         s3Anonymous,
	"AnonymousAWSCredentials":                 s3Anonymous,
	"AnonymousCredentialsProvider":            s3Anonymous,
	"EnvironmentVariableCredentialsProvider":  s3Environment,
	"IAMInstanceCredentialsProvider":          s3Instance,
	"InstanceProfileCredentialsProvider":      s3Instance,
	"ContainerCredentialsProvider":            s3Instance,
	"EC2ContainerCredentialsProviderWrapper":  s3Instance,
	"WebIdentityTokenCredentialsProvider":     s3WebIdentity,
	"WebIdentityTokenFileCredentialsProvider": s3WebIdentity,
	"ProfileAWSCredentialsProvider":           s3FromProfile,
	"ProfileCredentialsProvider":              s3FromProfile,
	"DefaultAWSCredentialsProviderChain":      s3Default,
	"DefaultCredentialsProvider":              s3Default,
}

// s3Packages are the packages of s3Classes.
var s3Packages = []string{"", "org.apache.hadoop.fs.s3a", "org.apache.hadoop.fs.s3a.auth", "com.amazonaws.auth", "com.amazonaws.auth.profile",
	"software.amazon.awssdk.auth.credentials"}

// An s3Auth says where credentials come from, in order.
type s3Auth struct {
	sources              []s3Source
	keyID, key, token    secret.Secret
	profile, profileFile string
	// Those of a web identity that are empty are the environment's.
	tokenFile, role, session string
}

// anonymous says that requests are not signed.
func (a s3Auth) anonymous() bool { return slices.Equal(a.sources, []s3Source{s3Anonymous}) }

// s3Needs are the options that one source has, the one that it cannot do without first.
var s3Needs = []struct {
	source  s3Source
	options []string
}{
	{s3Static, []string{s3AccessKey, s3SecretKey, s3SessionToken}},
	{s3FromProfile, []string{s3Profile, s3ProfileFile}},
	{s3WebIdentity, []string{s3TokenFile, s3RoleARN, s3RoleSession}},
}

// login reads where credentials come from. Options of a login that would not be used are an error, and so is half of one.
func (r *s3Reader) login() s3Auth {
	a := s3Auth{
		keyID: r.secret(s3AccessKey), key: r.secret(s3SecretKey), token: r.secret(s3SessionToken),
		profile: r.text(s3Profile), profileFile: r.text(s3ProfileFile),
		tokenFile: r.text(s3TokenFile), role: r.text(s3RoleARN), session: r.text(s3RoleSession),
	}
	listed, isListed := r.providers()
	a.sources = listed
	for _, need := range s3Needs {
		v, given := r.value(need.options...)
		switch {
		case !given:
		case isListed && !slices.Contains(listed, need.source):
			r.report(v, problem.Conflict, "%s is given, and no provider in %s uses it", v.Key, s3Providers).Fix("remove one of them")
		case !isListed && len(a.sources) > 0:
			r.report(v, problem.Conflict, "%s is one login too many", v.Key).Fix("leave one: keys, a profile, a web identity or aws_skip_signature")
		case !isListed:
			a.sources = []s3Source{need.source}
		}
	}
	if skip, ok := r.value(s3SkipSignature); ok && r.flag(false, s3SkipSignature) {
		if len(a.sources) > 0 && !a.anonymous() {
			r.report(skip, problem.Conflict, "%s is true, and there is a login", skip.Key).Fix("remove one of them")
		}
		a.sources = []s3Source{s3Anonymous}
	}
	if len(a.sources) == 0 {
		a.sources = []s3Source{s3Default}
	}
	r.whole(a, isListed)
	return a
}

// whole reports what is missing of a login.
func (r *s3Reader) whole(a s3Auth, isListed bool) {
	missing := func(name, hint string) {
		v, _ := r.value(append(s3Needs[0].options, s3TokenFile, s3RoleARN, s3RoleSession, s3Providers)...)
		r.report(v, problem.MissingOption, "%s is missing", name).Fix("%s", hint)
	}
	switch keys := "give the id of the key and the key itself"; {
	case !slices.Contains(a.sources, s3Static):
	case a.keyID.IsZero() && a.key.IsZero() && a.token.IsZero() && isListed && len(a.sources) > 1: // others may have some
	case a.keyID.IsZero():
		missing(s3AccessKey, keys)
	case a.key.IsZero():
		missing(s3SecretKey, keys)
	}
	if slices.Contains(a.sources, s3WebIdentity) && len(a.sources) == 1 {
		for _, need := range []struct{ text, option, variable string }{
			{a.tokenFile, s3TokenFile, "AWS_WEB_IDENTITY_TOKEN_FILE"}, {a.role, s3RoleARN, "AWS_ROLE_ARN"},
		} {
			if need.text == "" && r.env.variable(need.variable) == "" {
				missing(need.option, "a web identity is a token in a file and the role that it takes")
			}
		}
	}
}

// providers reads fs.s3a.aws.credentials.provider.
func (r *s3Reader) providers() (sources []s3Source, ok bool) {
	v, ok := r.value(s3Providers)
	if !ok {
		return nil, false
	}
	split := func(c rune) bool { return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r' }
	for _, class := range strings.FieldsFunc(v.Reveal(), split) {
		pkg, name := "", class
		if i := strings.LastIndexByte(class, '.'); i >= 0 {
			pkg, name = class[:i], class[i+1:]
		}
		source, known := s3Classes[name]
		switch {
		case known && slices.Contains(s3Packages, pkg):
			if !slices.Contains(sources, source) {
				sources = append(sources, source)
			}
		case name == "AssumedRoleCredentialProvider":
			r.report(v, problem.Unsupported, "%s: %s is not supported", v.Key, class).
				Fix("name the role in a profile (role_arn and source_profile in ~/.aws/config) and the profile by aws_profile")
		default:
			q := r.report(v, problem.Unsupported, "%s: silt does not know the provider %s", v.Key, class)
			q.Fix("remove it: silt finds credentials as the AWS SDKs do, and in fs.s3a.access.key and fs.s3a.secret.key")
			if near := problem.Nearest(name, slices.Sorted(maps.Keys(s3Classes))); near != "" {
				q.Fix("did you mean %s?", near)
			}
		}
	}
	if len(sources) == 0 && len(r.problems) == 0 {
		r.report(v, problem.InvalidValue, "%s names no provider", v.Key).Fix("remove it, or name a class")
	}
	if len(sources) > 1 && slices.Contains(sources, s3Anonymous) {
		r.report(v, problem.Conflict, "%s has a provider that does not sign beside others", v.Key).Fix("leave it alone, or leave it out")
	}
	return sources, true
}

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
func (l *s3Login) quote() quoter { return quoter{l.env.Secrets, l.tokenFile()} }

// tokenFile is the file of the web identity's token, if there is one.
func (l *s3Login) tokenFile() string {
	return cmp.Or(l.config.auth.tokenFile, l.env.variable("AWS_WEB_IDENTITY_TOKEN_FILE"))
}

// note remembers what requests are signed with, and has it scrubbed. REQUIRES: l.mu.
func (l *s3Login) note(creds aws.Credentials) {
	if creds.SecretAccessKey != l.last.SecretAccessKey || creds.SessionToken != l.last.SessionToken {
		l.env.tell(secret.New(creds.AccessKeyID), secret.New(creds.SecretAccessKey), secret.New(creds.SessionToken))
	}
	l.last = creds
}

// renew reads everything anew: references to secrets, files, the token service.
func (l *s3Login) renew(ctx context.Context) (changed bool, err error) {
	a := l.config.auth
	if _, err := secret.Renew(ctx, a.keyID, a.key, a.token); err != nil {
		return false, &s3LoginError{err, l.quote()}
	}
	provider, err := l.build(ctx)
	if err != nil {
		return false, &s3LoginError{err, l.quote()}
	}
	creds, err := provider.Retrieve(ctx)
	if err != nil {
		return false, &s3LoginError{err, l.quote()}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	changed = creds.AccessKeyID != l.last.AccessKeyID || creds.SecretAccessKey != l.last.SecretAccessKey || creds.SessionToken != l.last.SessionToken
	l.provider = provider
	l.note(creds)
	return changed, nil
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
	if len(errs) == 1 {
		return aws.Credentials{}, errs[0]
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
	if err != nil || u.Scheme != "https" && !loopback(u.Hostname()) && !slices.Contains(containerHosts, u.Hostname()) {
		return nil, fmt.Errorf("AWS_CONTAINER_CREDENTIALS_FULL_URI is %q; want https, or a container's own agent", full)
	}
	return endpointcreds.New(full, func(o *endpointcreds.Options) {
		o.Retryer, o.HTTPClient = aws.NopRetryer{}, credentialsClient(l.env)
		o.AuthorizationToken = l.env.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")
		if file := l.env.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
			o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
				text, err := option.ReadFile(file, maxTokenFile)
				return strings.TrimSpace(string(text)), err
			})
		}
	}), nil
}

// maxTokenFile is the largest file of a token that is read.
const maxTokenFile = 1 << 20

// load reads what the AWS SDKs read on every machine: variables and the files in ~/.aws; withCredentials finds credentials, too.
func (c s3Config) load(ctx context.Context, env Env, withCredentials bool) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}), // the SDK's own writes to stderr, past the scrubber
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

// s3Transport returns what sends requests.
func s3Transport(env Env) (http.RoundTripper, error) {
	if env.Transport != nil {
		return env.Transport, nil
	}
	t := newTransport()
	var err error
	t.TLSClientConfig.RootCAs, err = s3Authorities(env)
	return t, err
}

// s3Authorities are those that AWS_CA_BUNDLE names, which it does for AWS's SDKs too; nil, the system's, if there is no such variable.
func s3Authorities(env Env) (*x509.CertPool, error) {
	file := env.variable("AWS_CA_BUNDLE")
	if file == "" {
		return nil, nil
	}
	text, err := option.ReadFile(file, maxAuthorities)
	if err != nil {
		return nil, problem.New(problem.FileUnreadable, "AWS_CA_BUNDLE %s cannot be read", file).Because(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, problem.New(problem.InvalidValue, "AWS_CA_BUNDLE: %s holds no PEM certificate", file)
	}
	return roots, nil
}

// maxAuthorities is the largest file of certificates that is read.
const maxAuthorities = 8 << 20

// signBodies has the signature hold the body of every request.
func signBodies(stack *middleware.Stack) error {
	m := &v4.ComputePayloadSHA256{}
	_, err := stack.Finalize.Swap(m.ID(), m)
	return err
}

// newS3 returns the backend of a place.
func newS3(ctx context.Context, c s3Config, env Env) (backend, error) {
	cfg, err := c.load(ctx, env, false)
	if err != nil {
		return nil, problem.New(problem.InvalidValue, "the configuration of AWS cannot be used").Because(err).
			Fix("see the files in ~/.aws, AWS_PROFILE and aws_profile")
	}
	if cfg.Region == "" {
		return nil, c.noRegion()
	}
	b := &s3Backend{place: c.place, sse: c.sse, now: env.now, quote: quoter{secrets: env.Secrets}}
	if !c.auth.anonymous() {
		if b.login, err = newS3Login(ctx, c, env); err != nil {
			return nil, problem.New(problem.InvalidValue, "credentials of S3 cannot be read").Because(err)
		}
		b.quote = b.login.quote()
	}
	transport, err := s3Transport(env)
	if err != nil {
		return nil, err
	}
	b.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if b.login != nil {
			o.Credentials = b.login
		}
		if c.endpoint != "" {
			o.BaseEndpoint = aws.String(c.endpoint)
		}
		o.UsePathStyle = c.pathStyle
		o.EndpointOptions.DisableHTTPS = c.insecure
		o.HTTPClient = newClient(transport)
		o.Retryer = aws.NopRetryer{}
		o.RetryMaxAttempts = 1
		// Checksums in trailers are more than many stores understand that speak S3's protocol. What is written is safe without them: the
		// signature holds the body's SHA-256, and the store refuses what does not fit it. Over TLS the SDK would leave that out.
		o.APIOptions = append(o.APIOptions, signBodies)
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if c.requesterPays {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("x-amz-request-payer", "requester"))
		}
	})
	// A profile may name an endpoint, too.
	if e := b.client.Options().BaseEndpoint; e != nil && !c.allowHTTP {
		if u, err := url.Parse(*e); err == nil && u.Scheme == "http" && !loopback(u.Hostname()) {
			return nil, problem.New(problem.Insecure, "the profile's endpoint_url asks %s by plain http", u.Host).
				Fix("use https, or set allow_http: true if everyone on the network may read and change the table")
		}
	}
	return b, nil
}
