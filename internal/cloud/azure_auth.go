package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/siltlake/silt/internal/secret"
)

// azureScope is what tokens are asked for. It is the same in all Azure clouds.
const azureScope = "https://storage.azure.com/.default"

// An azureTransport sends the SDK's requests. It asks the RoundTripper itself: an http.Client's errors hold the URL, and so a SAS, and it
// would follow a redirect with the login. The SAS is put on here, so that nothing above knows it.
type azureTransport struct {
	send http.RoundTripper
	sas  secret.Secret
}

// Do implements policy.Transporter.
func (t azureTransport) Do(req *http.Request) (*http.Response, error) {
	sent := req
	if !t.sas.IsZero() {
		q, err := parseSAS(t.sas.Reveal())
		if err != nil {
			return nil, &azureLoginError{err: fmt.Errorf("shared access signature: %w", err), wrong: true}
		}
		sent = req.Clone(req.Context())
		if sent.URL.RawQuery != "" {
			sent.URL.RawQuery += "&"
		}
		sent.URL.RawQuery += q.Encode()
	}
	resp, err := t.send.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

// options are those of every client of the SDK: one attempt a call.
func (t azureTransport) options() policy.ClientOptions {
	return policy.ClientOptions{
		Transport: t,
		Retry:     policy.RetryOptions{MaxRetries: -1},
		Telemetry: policy.TelemetryOptions{ApplicationID: "silt"},
	}
}

// An azureClient is the SDK's client of a container, with the secret that it was made of.
type azureClient struct {
	*container.Client
	of   secret.Secret // a copy that is not renewed
	cred azcore.TokenCredential
}

// newAzureClient makes a client that uses the login as it is now.
func newAzureClient(c azureConfig, send http.RoundTripper) (*azureClient, error) {
	at := c.service + "/" + c.place.Bucket
	made := &azureClient{of: secret.New(c.login.secret.Reveal())}
	t := azureTransport{send: send}
	var err error
	if c.login.kind == azureSharedKey {
		var key *container.SharedKeyCredential
		if key, err = container.NewSharedKeyCredential(c.place.Account, strings.TrimSpace(made.of.Reveal())); err != nil {
			return nil, &azureLoginError{err: errors.New("the account's key is not base64"), wrong: true} // the error itself quotes the key
		}
		made.Client, err = container.NewClientWithSharedKeyCredential(at, key, &container.ClientOptions{ClientOptions: t.options()})
		return made, err
	}
	if c.login.kind == azureSAS {
		t.sas = made.of
	}
	options := t.options()
	if made.cred, err = newAzureCredential(c.login, made.of, azureTransport{send: send}); err != nil {
		return nil, &azureLoginError{err: err, wrong: true}
	}
	if made.cred != nil {
		options.PerRetryPolicies = []policy.Policy{runtime.NewBearerTokenPolicy(made.cred, []string{azureScope}, &policy.BearerTokenOptions{
			// Whether the store may be asked by http was decided when its options were read.
			InsecureAllowCredentialWithHTTP: strings.HasPrefix(c.service, "http://"),
		})}
	}
	made.Client, err = container.NewClientWithNoCredential(at, &container.ClientOptions{ClientOptions: options})
	return made, err
}

// newAzureCredential makes what gives tokens; nil if the login needs none.
func newAzureCredential(l azureLogin, s secret.Secret, t azureTransport) (azcore.TokenCredential, error) {
	options := t.options()
	options.Cloud = azcloud.Configuration{ActiveDirectoryAuthorityHost: l.authority}
	// Entra ID is asked whether an authority is one of its own, unless it is known to be, or to be another's.
	alien := true
	for _, known := range azureAuthorities {
		alien = alien && l.authority != known
	}
	var cred azcore.TokenCredential
	var err error
	switch l.kind {
	case azureBearer:
		cred = azureToken(s)
	case azurePrincipal:
		cred, err = azidentity.NewClientSecretCredential(l.tenant, l.clientID, s.Reveal(),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: alien})
	case azureWorkload:
		cred, err = azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: alien, ClientID: l.clientID, TenantID: l.tenant, TokenFilePath: l.tokenFile})
	case azureManaged:
		cred, err = newManagedIdentity(l, t)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return azureCredential{cred, l.guessed}, nil
}

func newManagedIdentity(l azureLogin, t azureTransport) (azcore.TokenCredential, error) {
	if l.endpoint != "" {
		return azureMetadata{l, t}, nil
	}
	o := azidentity.ManagedIdentityCredentialOptions{ClientOptions: t.options()}
	switch {
	case l.clientID != "":
		o.ID = azidentity.ClientID(l.clientID)
	case l.objectID != "":
		o.ID = azidentity.ObjectID(l.objectID)
	case l.resourceID != "":
		o.ID = azidentity.ResourceID(l.resourceID)
	}
	return azidentity.NewManagedIdentityCredential(&o)
}

// An azureCredential marks the errors of another, and gives up early where a managed identity was only a guess: elsewhere than in Azure
// nobody answers, or somebody else does.
type azureCredential struct {
	azcore.TokenCredential
	guessed bool
}

// azureGuess is how long the metadata service of a machine in Azure takes at most.
const azureGuess = 5 * time.Second

// GetToken implements azcore.TokenCredential.
func (c azureCredential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	asked := ctx
	if c.guessed {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, azureGuess)
		defer cancel()
	}
	token, err := c.TokenCredential.GetToken(ctx, o)
	switch {
	case err == nil:
		return token, nil
	case asked.Err() != nil:
		return token, asked.Err()
	case c.guessed:
		return token, &azureLoginError{err: errNoAzureLogin, wrong: true}
	}
	return token, &azureLoginError{err: err}
}

// errNoAzureLogin: there was nothing to log in with.
var errNoAzureLogin = errors.New("there are no credentials: neither options nor the environment give any, and this machine has no managed identity")

// An azureToken is a token that the user gave. When it ends is not known; Azure says it.
type azureToken secret.Secret

// GetToken implements azcore.TokenCredential.
func (t azureToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: strings.TrimSpace(secret.Secret(t).Reveal()), ExpiresOn: time.Now().Add(24 * time.Hour)}, nil
}

// An azureMetadata asks a metadata service at an address that the user gave, as a machine's own is asked (learn.microsoft.com, "How to use
// managed identities for Azure resources on an Azure VM to acquire an access token").
type azureMetadata struct {
	login     azureLogin
	transport azureTransport
}

// maxToken is the size of the longest file, and answer of a service, that can hold a token.
const maxToken = 1 << 20

// GetToken implements azcore.TokenCredential.
func (m azureMetadata) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.login.endpoint, nil)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	req.Header.Set("Metadata", "true")
	q := req.URL.Query()
	q.Set("api-version", "2018-02-01")
	q.Set("resource", strings.TrimSuffix(strings.Join(o.Scopes, " "), "/.default"))
	for name, value := range map[string]string{"client_id": m.login.clientID, "object_id": m.login.objectID, "mi_res_id": m.login.resourceID} {
		if value != "" {
			q.Set(name, value)
		}
	}
	req.URL.RawQuery = q.Encode()
	resp, err := m.transport.Do(req)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return azcore.AccessToken{}, runtime.NewResponseError(resp)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	if err != nil {
		return azcore.AccessToken{}, err
	}
	var token struct {
		Token string      `json:"access_token"`
		Ends  json.Number `json:"expires_on"` // seconds since 1970, most services write them as a string
	}
	if err := json.Unmarshal(answer, &token); err != nil || token.Token == "" {
		return azcore.AccessToken{}, errors.New("the metadata service's answer is no token")
	}
	ends, err := strconv.ParseInt(token.Ends.String(), 10, 64)
	if err != nil {
		return azcore.AccessToken{}, errors.New("the metadata service's token has no time at which it ends")
	}
	return azcore.AccessToken{Token: token.Token, ExpiresOn: time.Unix(ends, 0)}, nil
}
