package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// The types of files of credentials that silt takes (https://google.aip.dev/auth/4110). What is asked of Google with them is
// golang.org/x/oauth2/google's.
const (
	gcsServiceAccount = "service_account"
	gcsImpersonated   = "impersonated_service_account"
)

const (
	// gcsCloudScope is what an account needs to take the place of another: its own token goes to IAM, not to the store.
	gcsCloudScope = "https://www.googleapis.com/auth/cloud-platform"
	// maxCredentials is the size of the largest file of credentials that is read.
	maxCredentials = 1 << 20
)

// gcsCredentials are the parts of a file of credentials that silt looks at.
type gcsCredentials struct {
	Type         string `json:"type"`
	PrivateKey   string `json:"private_key"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`

	TokenURI         string          `json:"token_uri"`
	TokenURL         string          `json:"token_url"`
	ImpersonationURL string          `json:"service_account_impersonation_url"`
	Source           *gcsCredentials `json:"source_credentials"`

	CredentialSource struct {
		URL       string `json:"url"`
		RegionURL string `json:"region_url"`
		VerifyURL string `json:"regional_cred_verification_url"`
		TokenURL  string `json:"imdsv2_session_token_url"`
	} `json:"credential_source"`
}

// readGCSCredentials reads a file of credentials and checks where it would send secrets: Google's library does not
// (https://cloud.google.com/docs/authentication/external/externally-sourced-credentials). No error holds a value of it.
func readGCSCredentials(text []byte) (*gcsCredentials, error) {
	c := &gcsCredentials{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, errors.New("it is not the JSON of Google's credentials")
	}
	return c, c.check(true)
}

func (c *gcsCredentials) check(outer bool) error {
	switch c.Type {
	case gcsServiceAccount:
		if c.PrivateKey == "" {
			return errors.New("it holds no private_key")
		}
	case "authorized_user", "external_account", "external_account_authorized_user":
	case gcsImpersonated:
		if c.Source == nil || !outer {
			return errors.New("it has no source_credentials, or those of an account that takes another's place itself")
		}
	case "":
		return errors.New("it has no type: is it a key of a service account in JSON?")
	default:
		return fmt.Errorf("its type %q is not supported", c.Type)
	}
	s := &c.CredentialSource
	for _, u := range []struct{ name, text string }{
		{"token_uri", c.TokenURI}, {"token_url", c.TokenURL}, {"service_account_impersonation_url", c.ImpersonationURL},
		{"credential_source.regional_cred_verification_url", s.VerifyURL},
	} {
		if !safeURL(u.text, false) {
			return fmt.Errorf("its %s is not https", u.name)
		}
	}
	for _, u := range []struct{ name, text string }{
		{"url", s.URL}, {"region_url", s.RegionURL}, {"imdsv2_session_token_url", s.TokenURL},
	} {
		if !safeURL(u.text, true) {
			return fmt.Errorf("its credential_source.%s is neither https nor a metadata server", u.name)
		}
	}
	if c.Source != nil {
		return c.Source.check(false)
	}
	return nil
}

// safeURL says whether secrets may go to a URL: over TLS, within this machine, or, if metadata, to the metadata server of a cloud, which has
// no TLS and is one hop away. No URL is safe.
func safeURL(text string, metadata bool) bool {
	if text == "" {
		return true
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return false
	}
	host := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (option.Loopback(host) || metadata && (host == gcsMetadataIP || host == "fd00:ec2::254"))
}

// secrets are what must not be printed.
func (c *gcsCredentials) secrets() []secret.Secret {
	if c == nil {
		return nil
	}
	return append(c.Source.secrets(), secret.New(c.PrivateKey), secret.New(c.ClientSecret), secret.New(c.RefreshToken))
}

// A gcsKeyring gets access tokens for the credentials of a file or a secret, which it reads for each.
type gcsKeyring struct {
	config    gcsConfig
	name      string
	env       Env
	transport http.RoundTripper
}

// load reads the credentials.
func (k *gcsKeyring) load() (*gcsCredentials, []byte, *problem.Problem) {
	refuse := func(code problem.Code, err error) (*gcsCredentials, []byte, *problem.Problem) {
		return nil, nil, problem.New(code, "%s cannot be used", k.name).At(k.config.from.Pos).Because(err)
	}
	text := []byte(k.config.secret.Reveal())
	if k.config.login != gcsJSON {
		var err error
		if text, err = option.ReadFile(k.config.file, maxCredentials); err != nil {
			return refuse(problem.FileUnreadable, err)
		}
	}
	c, err := readGCSCredentials(text)
	if err != nil {
		return refuse(problem.InvalidValue, err)
	}
	k.env.tell(c.secrets()...)
	return c, text, nil
}

// name is where credentials come from, for messages; gcloud says that silt found gcloud's own.
func (c gcsConfig) name(gcloud bool) string {
	switch from := cmp.Or(c.from.Key, "GOOGLE_APPLICATION_CREDENTIALS"); {
	case gcloud:
		return "gcloud's credentials " + c.file
	case c.login == gcsJSON:
		return "the credentials of " + from
	default:
		return fmt.Sprintf("the credentials %s (%s)", c.file, from)
	}
}

// fetch asks for a token.
func (k *gcsKeyring) fetch(ctx context.Context) (gcsAccess, error) {
	c, text, p := k.load()
	if p != nil {
		return gcsAccess{}, &gcsTokenError{text: p.Message + ": " + p.Why, failure: failure{kind: loggedOut}}
	}
	scope := gcsScope
	if c.Type == gcsImpersonated {
		scope = gcsCloudScope
	}
	w := &gcsWatch{ctx: ctx, base: k.transport, quote: quoter{secrets: k.env.Secrets}}
	creds, err := google.CredentialsFromJSONWithTypeAndParams(context.WithValue(ctx, oauth2.HTTPClient, newClient(w)), text,
		google.CredentialsType(c.Type), google.CredentialsParams{Scopes: []string{scope}})
	var token *oauth2.Token
	if err == nil {
		token, err = creds.TokenSource.Token()
	}
	if err == nil && token.AccessToken == "" {
		err = errors.New("the answer of the token server holds none")
	}
	if err != nil {
		return gcsAccess{}, w.explain(err, k.name, k.env.now())
	}
	return gcsAccess{secret.New(token.AccessToken), token.Expiry}, nil
}
