package scope

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// A keyVault is an Azure Key Vault. A key is a secret's name, of which the current version is read.
//
// The SDK asks without a token first and gets a challenge, which says for which resource a token is wanted. It compares that with the vault's
// host, so that no other host gets a token for Key Vaults; that check stays on.
type keyVault struct {
	url  *url.URL
	name string // of the vault, for az
	env  Env

	connect sync.Mutex
	client  *azsecrets.Client // nil until it is needed
}

func newKeyVault(u *url.URL, env Env) *keyVault {
	name, _, _ := strings.Cut(u.Hostname(), ".")
	return &keyVault{url: u, name: name, env: env}
}

func (k *keyVault) String() string { return "Azure Key Vault " + k.url.Scheme + "://" + k.url.Host }

func (k *keyVault) edit(_, key string) string {
	return "az keyvault secret set --vault-name " + k.name + " --name " + key + " --file FILE"
}

func (k *keyVault) open() (*azsecrets.Client, error) {
	k.connect.Lock()
	defer k.connect.Unlock()
	if k.client != nil {
		return k.client, nil
	}
	options := azcore.ClientOptions{
		Transport: &http.Client{Transport: bounded{k.env.Transport}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Retry:     policy.RetryOptions{MaxRetries: tries - 1, TryTimeout: tryTimeout, RetryDelay: firstPause, MaxRetryDelay: longestPause},
		Telemetry: policy.TelemetryOptions{ApplicationID: "silt"},
	}
	credential := k.env.Credential
	if credential == nil {
		var err error
		if credential, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: azcore.ClientOptions{
			Transport: options.Transport, Telemetry: options.Telemetry}}); err != nil {
			return nil, refuse(loginHint, "there is no login to Azure")
		}
	}
	client, err := azsecrets.NewClient(k.url.String(), credential, &azsecrets.ClientOptions{ClientOptions: options})
	if err != nil {
		return nil, refuse("", "%s cannot be used", k)
	}
	k.client = client
	return client, nil
}

const loginHint = "give silt an identity of Azure: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, a workload identity, a managed identity, " +
	"or az login"

func (k *keyVault) get(ctx context.Context, key string) (string, error) {
	if !validVaultName(key) {
		return "", refuse("", "no secret of an Azure Key Vault has such a name: it has letters, digits and -, at most 127")
	}
	client, err := k.open()
	if err != nil {
		return "", err
	}
	resp, err := client.GetSecret(ctx, key, "", nil)
	if err != nil {
		return "", k.refusal(ctx, err)
	}
	if resp.Value == nil {
		return "", nil
	}
	return *resp.Value, nil
}

func (k *keyVault) list(ctx context.Context) ([]string, error) {
	client, err := k.open()
	if err != nil {
		return nil, err
	}
	var keys []string
	for pages := client.NewListSecretPropertiesPager(nil); pages.More() && len(keys) < maxKeys; {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, k.refusal(ctx, err)
		}
		for _, p := range page.Value {
			if p.ID != nil && (p.Attributes == nil || p.Attributes.Enabled == nil || *p.Attributes.Enabled) {
				keys = append(keys, p.ID.Name())
			}
		}
	}
	return keys, nil
}

func validVaultName(name string) bool {
	const longest = 127
	return name != "" && len(name) <= longest && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	}) < 0
}

// refusal says what an error of the SDK means. Those print whole requests and answers: only the service's own code is taken of them.
func (k *keyVault) refusal(ctx context.Context, err error) *refusal {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return k.unanswered(ctx, err)
	}
	code, inner := errorCodes(answer)
	switch {
	case answer.StatusCode == http.StatusNotFound:
		return refuse("check its name; az keyvault secret list --vault-name "+k.name+" shows them", "%s has no such secret (%s)", k, code)
	case inner == "SecretDisabled":
		return refuse("enable it: az keyvault secret set-attributes --vault-name "+k.name+" --name NAME --enabled true",
			"the secret of %s is disabled", k)
	case answer.StatusCode == http.StatusForbidden && strings.HasPrefix(inner, "ForbiddenByFirewall"):
		return refuse("allow this machine's address in the vault's firewall, or use its private endpoint", "the firewall of %s forbids it (%s)",
			k, inner)
	case answer.StatusCode == http.StatusForbidden:
		return refuse("give silt's identity the role Key Vault Secrets User on the vault, or the access policy Get",
			"%s forbids to read it (%s)", k, code)
	case answer.StatusCode == http.StatusUnauthorized:
		return refuse(loginHint, "%s refuses the login (%s)", k, code)
	case answer.StatusCode == http.StatusTooManyRequests:
		r := refuse("try again in a minute; a vault has limits for all who read it", "%s is asked too often (%s)", k, code)
		r.down = true
		return r
	}
	r := refuse("try again later", "%s answers with status %d (%s)", k, answer.StatusCode, code)
	r.down = answer.StatusCode >= http.StatusInternalServerError
	return r
}

func (k *keyVault) unanswered(ctx context.Context, err error) *refusal {
	var r *refusal
	text := err.Error()
	switch {
	case strings.Contains(text, "challenge resource"):
		r = refuse("write the vault's own address: https://NAME.vault.azure.net", "%s wants a token for another host: it is no Azure Key Vault", k)
	case isAuthentication(err):
		r = refuse(loginHint, "there is no login to Azure for %s", k)
	default:
		r = refuse("check the vault's name, and that this machine reaches it", "%s does not answer: %s", k, unanswered(ctx, err))
	}
	r.down = true
	return r
}

// isAuthentication says whether no credential of the chain gave a token. What each of them said is pages long and left out.
func isAuthentication(err error) bool {
	_, failed := errors.AsType[*azidentity.AuthenticationFailedError](err)
	return failed || strings.Contains(err.Error(), "DefaultAzureCredential: ")
}

// errorCodes are the service's names of an error: {"error": {"code": "Forbidden", "innererror": {"code": "SecretDisabled"}}}.
func errorCodes(e *azcore.ResponseError) (code, inner string) {
	code = e.ErrorCode
	if e.RawResponse == nil {
		return code, ""
	}
	body, err := runtime.Payload(e.RawResponse) // the SDK keeps it
	var answer struct {
		Error struct {
			Inner struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if err != nil || json.Unmarshal(body, &answer) != nil {
		return code, ""
	}
	return code, answer.Error.Inner.Code
}
