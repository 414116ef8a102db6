package cloud

import (
	"net"
	"net/url"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// An azureConfig is what it takes to reach a place in Azure.
type azureConfig struct {
	place   Place  // with its account
	service string // the URL of the Blob service, without a slash at its end: https://ACCOUNT.blob.core.windows.net
	login   azureLogin
}

func (c azureConfig) serviceURL() string { return c.service }

// An azureLoginKind is a way to log in.
type azureLoginKind uint8

const (
	azureSharedKey azureLoginKind = iota + 1 // secret is a key of the account
	azureSAS                                 // secret is a shared access signature
	azureBearer                              // secret is a token
	azurePrincipal                           // a service principal: tenant, clientID, and its secret
	azureWorkload                            // a workload identity: tenant, clientID, tokenFile
	azureManaged                             // a managed identity: clientID, objectID or resourceID, or none for the machine's own
)

// An azureLogin is how to log in; what a kind does not need is empty.
type azureLogin struct {
	kind             azureLoginKind
	secret           secret.Secret
	tenant, clientID string
	// authority is the URL of the host that gives tokens, without a slash at its end.
	authority            string
	tokenFile            string
	objectID, resourceID string
	// endpoint is where a managed identity gets its tokens; "": where the machine's environment says.
	endpoint string
	// guessed: nobody asked for a managed identity, there was nothing else to try.
	guessed bool
}

// The emulator's account and its key, which Microsoft publishes (learn.microsoft.com, "Use the Azurite emulator").
const (
	emulatorAccount = "devstoreaccount1"
	emulatorKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
	emulatorURL     = "http://127.0.0.1:10000"
	azurePublic     = "core.windows.net"
)

// azureAuthorities are the hosts that give tokens in each Azure cloud.
var azureAuthorities = map[string]string{
	azurePublic:              "https://login.microsoftonline.com",
	"core.chinacloudapi.cn":  "https://login.chinacloudapi.cn",
	"core.usgovcloudapi.net": "https://login.microsoftonline.us",
}

// azureSettings combines the options of a place with the standard variables of the environment, which give what the options leave open. It
// reads nothing else.
func azureSettings(p Place, g given, env Env) (azureConfig, []*problem.Problem) {
	r := &azureReader{reader: newReader(g, env), place: p}
	r.emulator = r.Bool(azEmulator, false)
	r.account()
	r.container()
	c := azureConfig{service: r.service()}
	c.login = r.login()
	c.place = r.place
	return c, r.Reported()
}

// An azureReader reads the options of one place.
type azureReader struct {
	reader
	place    Place
	emulator bool
}

// environmentAccount is the account of which the environment's key and SAS are.
func (r *azureReader) environmentAccount() string {
	return r.env.variable("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
}

// account finds the storage account.
func (r *azureReader) account() {
	v, ok := r.value(azAccount)
	name := r.text(azAccount)
	switch {
	case ok && !accountName.MatchString(name):
		r.Report(v, problem.InvalidValue, "%s is %q, which is no name of a storage account", v.Key, v.Shown()).
			Fix("it has 3 to 24 lower-case letters and digits")
		r.place.Account = "invalid" // so that the account is not missing too
	case ok && r.place.Account != "" && name != r.place.Account:
		r.Report(v, problem.Conflict, "%s is %q, and %s is in %q", v.Key, v.Shown(), r.place.Text, r.place.Account).Fix("remove the option")
	case ok:
		r.place.Account = name
	case r.place.Account != "":
	case r.emulator:
		r.place.Account = emulatorAccount
	case accountName.MatchString(r.environmentAccount()):
		r.place.Account = r.environmentAccount()
	default:
		r.missing("%s names no storage account", r.place.Text).
			Fix("write abfss://%s@ACCOUNT.dfs.core.windows.net/%s, or give %s", r.place.Bucket, r.place.Folder, azAccount)
		r.place.Account = "missing"
	}
}

// missing reports what no option gives.
func (r *azureReader) missing(format string, args ...any) *problem.Problem {
	return r.Report(option.Value{}, problem.MissingOption, format, args...)
}

func (r *azureReader) container() {
	if v, ok := r.value(azContainer); ok && r.text(azContainer) != r.place.Bucket {
		r.Report(v, problem.Conflict, "%s is %q, and %s is in %q", v.Key, v.Shown(), r.place.Text, r.place.Bucket).Fix("remove the option")
	}
}

// service returns the URL of the Blob service. ADLS Gen2's own endpoint, dfs, is not used: its creation of a file is not atomic.
func (r *azureReader) service() string {
	allowHTTP := r.Bool(azAllowHTTP, false)
	v, ok := r.value(azEndpoint)
	text := r.text(azEndpoint)
	switch {
	case ok:
	case r.emulator:
		v.Key = "AZURITE_BLOB_STORAGE_URL"
		if text = r.env.variable(v.Key); text == "" {
			text = emulatorURL
		}
		v.Text = text
	default:
		suffix := r.place.Suffix
		if suffix == "" {
			suffix = azurePublic
		}
		return "https://" + r.place.Account + ".blob." + suffix
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		r.Report(v, problem.InvalidValue, "%s is no URL of a Blob service", v.Key).
			Fix("write https://HOST or https://HOST/ACCOUNT, without a login or a query")
		return ""
	}
	if u.Scheme == "http" && !allowHTTP && !option.Loopback(u.Hostname()) {
		r.Report(v, problem.Insecure, "%s is http, and %s is another machine", v.Key, u.Hostname()).
			Fix("use https, or set %s: true if everybody on the way may read the data", azAllowHTTP)
	}
	u.Host = strings.Replace(u.Host, r.place.Account+".dfs.", r.place.Account+".blob.", 1)
	path := strings.Trim(u.Path, "/")
	// Azurite, and whatever has an address for a name, has the account in the path.
	if path == "" && (r.emulator || option.Loopback(u.Hostname()) || net.ParseIP(u.Hostname()) != nil) {
		path = r.place.Account
	}
	u.Path, u.RawPath = "/"+path, ""
	return strings.TrimSuffix(u.String(), "/")
}

// secret returns a secret from the options, else from the environment.
func (r *azureReader) secret(name string, variables ...string) (secret.Secret, option.Value) {
	if v, ok := r.value(name); ok {
		return v.AsSecret(), v
	}
	for _, variable := range variables {
		if text := r.env.variable(variable); text != "" {
			s := secret.New(text)
			r.env.tell(s)
			return s, option.Value{Key: variable, Secret: s, IsSecret: true}
		}
	}
	return secret.Secret{}, option.Value{}
}

// either returns an option's text, else that of the environment's variables.
func (r *azureReader) either(name string, variables ...string) string {
	if text := r.text(name); text != "" {
		return text
	}
	return r.env.variable(variables...)
}

// The variables of the environment that hold a key or a SAS: object_store's, and those of the Azure CLI.
var (
	azureKeyVariables = []string{"AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_KEY"}
	azureSASVariables = []string{"AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"}
)
