package cloud

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// login reads how to log in: as the options say, else with what they give, else with what the environment gives.
func (r *azureReader) login() azureLogin {
	kind, ok := r.chosen()
	if ok && kind == 0 {
		kind, ok = r.offered(azureOffers)
	}
	if !ok {
		return azureLogin{}
	}
	l := azureLogin{kind: kind}
	if kind == 0 {
		l.kind = r.fromEnvironment()
		l.guessed = l.kind == azureManaged
	}
	switch l.kind {
	case azureSharedKey:
		l.secret = r.key()
	case azureSAS:
		l.secret = r.signature()
	case azureBearer:
		l.secret, _ = r.secret(azBearer)
	case azurePrincipal:
		r.principal(&l)
	case azureWorkload:
		r.workload(&l)
	case azureManaged:
		r.managed(&l)
	}
	return l
}

// chosen returns the login that the options name, 0 if they name none; ok is false if what they say was reported.
func (r *azureReader) chosen() (kind azureLoginKind, ok bool) {
	v, named := r.value(azAuthType)
	if !named {
		return r.provider()
	}
	if strings.EqualFold(r.text(azAuthType), "Custom") {
		r.Report(v, problem.Unsupported, "%s is Custom, and silt loads no Java classes", v.Key).Fix("log in with SharedKey, SAS or OAuth")
		return 0, false
	}
	switch r.Enum(azAuthType, "", "SharedKey", "SAS", "OAuth") {
	case "SharedKey":
		return azureSharedKey, true
	case "SAS":
		return azureSAS, true
	case "OAuth":
		kind, ok := r.provider()
		if ok && kind == 0 {
			kind, ok = r.offered(azureTokenOffers)
		}
		if ok && kind == 0 {
			r.missing("%s is OAuth, and %s is missing", v.Key, azProvider).Fix("give ClientCredsTokenProvider, MsiTokenProvider or WorkloadIdentityTokenProvider")
			return 0, false
		}
		return kind, ok
	}
	return 0, false
}

// provider reads fs.azure.account.oauth.provider.type.
func (r *azureReader) provider() (kind azureLoginKind, ok bool) {
	v, named := r.value(azProvider)
	if !named {
		return 0, true
	}
	text := r.text(azProvider)
	switch text[strings.LastIndexByte(text, '.')+1:] {
	case "ClientCredsTokenProvider":
		return azurePrincipal, true
	case "MsiTokenProvider":
		return azureManaged, true
	case "WorkloadIdentityTokenProvider":
		return azureWorkload, true
	}
	r.Report(v, problem.Unsupported, "%s is %q, which silt does not have", v.Key, v.Shown()).
		Fix("use ClientCredsTokenProvider, MsiTokenProvider or WorkloadIdentityTokenProvider")
	return 0, false
}

// An azureOffer is an option that stands for a login.
type azureOffer struct {
	name string
	kind azureLoginKind
}

var (
	azureTokenOffers = []azureOffer{
		{azClientSecret, azurePrincipal}, {azTokenFile, azureWorkload},
		{azMSIEndpoint, azureManaged}, {azObjectID, azureManaged}, {azMSIResource, azureManaged},
	}
	azureOffers = append([]azureOffer{{azKey, azureSharedKey}, {azSAS, azureSAS}, {azBearer, azureBearer}}, azureTokenOffers...)
)

// offered returns the login for which the options give the secret; two are a mistake of which silt cannot know the better one.
func (r *azureReader) offered(offers []azureOffer) (kind azureLoginKind, ok bool) {
	var first option.Value
	for _, o := range offers {
		v, given := r.value(o.name)
		switch {
		case !given || o.kind == kind:
		case kind == 0:
			kind, first = o.kind, v
		default:
			r.Report(v, problem.Conflict, "%s and %s are two ways to log in", first.Key, v.Key).Fix("remove one, or say which is meant with %s", azAuthType)
			return 0, false
		}
	}
	if _, client := r.value(azClientID); kind == 0 && client {
		return r.clientLogin(), true
	}
	return kind, true
}

// clientLogin is the login of a client id that comes without a secret.
func (r *azureReader) clientLogin() azureLoginKind {
	switch {
	case r.env.variable("AZURE_CLIENT_SECRET") != "":
		return azurePrincipal
	case r.env.variable("AZURE_FEDERATED_TOKEN_FILE") != "":
		return azureWorkload
	}
	return azureManaged
}

// ours returns the variables that may hold a login for the account: those of the environment are for the account that it names beside them,
// if it names one, and no real account is the emulator's.
func (r *azureReader) ours(variables []string) []string {
	account := r.environmentAccount()
	if account == r.place.Account || account == "" && !r.emulator {
		return variables
	}
	return nil
}

// fromEnvironment returns the login that the environment gives.
func (r *azureReader) fromEnvironment() azureLoginKind {
	switch {
	case r.env.variable(r.ours(azureKeyVariables)...) != "":
		return azureSharedKey
	case r.env.variable(r.ours(azureSASVariables)...) != "":
		return azureSAS
	case r.emulator:
		return azureSharedKey
	case r.env.variable("AZURE_CLIENT_ID") != "":
		return r.clientLogin()
	}
	return azureManaged
}

func (r *azureReader) key() secret.Secret {
	s, v := r.secret(azKey, r.ours(azureKeyVariables)...)
	if s.IsZero() && r.emulator {
		return secret.New(emulatorKey)
	}
	if s.IsZero() {
		r.missing("%s is missing", strings.Replace(azKey, "ACCOUNT", r.place.Account, 1)).
			Fix("give a key of the account, from the portal's page Access keys")
		return s
	}
	if _, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s.Reveal())); err != nil {
		r.Report(v, problem.InvalidValue, "%s is no key of a storage account: it is not base64", v.Key).
			Fix("copy the whole key from the portal's page Access keys; a SAS is %s", azSAS)
	}
	return s
}

func (r *azureReader) signature() secret.Secret {
	s, v := r.secret(azSAS, r.ours(azureSASVariables)...)
	if s.IsZero() {
		r.missing("%s is missing", azSAS).Fix("give a SAS of the container with the rights r, c, w, d and l")
		return s
	}
	q, err := parseSAS(s.Reveal())
	if err != nil {
		r.Report(v, problem.InvalidValue, "%s is no shared access signature: %w", v.Key, err).
			Fix("copy the SAS token of the portal: sv=...&sig=...; a key is %s", strings.Replace(azKey, "ACCOUNT", r.place.Account, 1))
		return s
	}
	// Servers that repeat a query write it anew.
	r.env.tell(s.Map(func(text string) string { q, _ := parseSAS(text); return q.Get("sig") }))
	if end, err := sasEnd(q); err == nil && end.Before(r.env.now()) {
		r.Report(v, problem.InvalidValue, "the shared access signature in %s ended on %s", v.Key, q.Get("se")).Fix("make a new one")
	}
	return s
}

// parseSAS takes a shared access signature apart. It may begin with a question mark, and be encoded once more than it needs to be.
func parseSAS(text string) (url.Values, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "?")
	if !strings.Contains(text, "=") {
		if plain, err := url.QueryUnescape(text); err == nil {
			text = strings.TrimPrefix(plain, "?")
		}
	}
	q, err := url.ParseQuery(text)
	if err != nil {
		return nil, errors.New("it is no query of a URL") // the error itself would quote a part
	}
	if q.Get("sig") == "" {
		return nil, errors.New("sig is missing")
	}
	// A signature that was not encoded has lost its plus signs.
	q.Set("sig", strings.ReplaceAll(q.Get("sig"), " ", "+"))
	return q, nil
}

// sasEnd is the time at which a shared access signature ends.
func sasEnd(q url.Values) (time.Time, error) {
	se := q.Get("se")
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z", time.DateOnly} {
		if t, err := time.Parse(layout, se); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", se)
}

func (r *azureReader) principal(l *azureLogin) {
	l.clientID = r.either(azClientID, "AZURE_CLIENT_ID", "AZURE_STORAGE_CLIENT_ID")
	l.secret, _ = r.secret(azClientSecret, "AZURE_CLIENT_SECRET", "AZURE_STORAGE_CLIENT_SECRET")
	l.authority = r.authority()
	l.tenant = r.tenant()
	if v, ok := r.value(azClientEndpoint); ok {
		text := r.text(azClientEndpoint)
		authority, tenant, ok := strings.Cut(strings.TrimPrefix(text, "https://"), "/")
		tenant, _, _ = strings.Cut(tenant, "/")
		u, err := url.Parse("https://" + authority)
		switch {
		case !ok || tenant == "" || err != nil || u.Host != authority || !strings.HasPrefix(text, "https://"):
			r.Report(v, problem.InvalidValue, "%s is %q", v.Key, v.Shown()).Fix("want https://login.microsoftonline.com/TENANT/oauth2/token")
			return
		case r.text(azTenant) != "" && r.text(azTenant) != tenant:
			r.Report(v, problem.Conflict, "%s names the tenant %q, and another option %q", v.Key, tenant, r.text(azTenant)).Fix("remove one of them")
		}
		l.authority, l.tenant = "https://"+authority, tenant
	}
	r.require("a service principal", "give "+azClientEndpoint+": "+l.authority+"/TENANT/oauth2/token, or azure_tenant_id: TENANT",
		map[string]string{azClientID: l.clientID, azTenant: l.tenant})
	if l.secret.IsZero() {
		r.missing("%s is missing for a service principal", azClientSecret).Fix("give the value of a client secret, not its id")
	}
}

func (r *azureReader) workload(l *azureLogin) {
	l.clientID = r.either(azClientID, "AZURE_CLIENT_ID")
	l.tenant = r.tenant()
	l.tokenFile = r.either(azTokenFile, "AZURE_FEDERATED_TOKEN_FILE")
	l.authority = r.authority()
	r.require("a workload identity", "give azure_tenant_id: TENANT", map[string]string{azClientID: l.clientID, azTenant: l.tenant, azTokenFile: l.tokenFile})
}

func (r *azureReader) managed(l *azureLogin) {
	l.clientID = r.either(azClientID, "AZURE_CLIENT_ID")
	l.objectID, l.resourceID = r.text(azObjectID), r.text(azMSIResource)
	if l.objectID != "" || l.resourceID != "" {
		l.clientID = r.text(azClientID)
	}
	v, ok := r.value(azMSIEndpoint)
	l.endpoint = strings.TrimSuffix(r.text(azMSIEndpoint), "/")
	if !ok || l.endpoint == "http://169.254.169.254/metadata/identity/oauth2/token" {
		l.endpoint = "" // what the machine says anyway
		return
	}
	u, err := url.Parse(l.endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		r.Report(v, problem.InvalidValue, "%s is %q, which is no URL", v.Key, v.Shown())
		return
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && !option.Loopback(u.Hostname()) && !ip.IsLinkLocalUnicast() {
		r.Report(v, problem.Insecure, "%s is http, and %s is another machine", v.Key, u.Hostname()).Fix("use https: the answer is a login")
	}
}

// require reports what a login lacks; tenant is what to do if that is the tenant.
func (r *azureReader) require(what, tenant string, needed map[string]string) {
	for _, need := range []struct{ name, fix string }{
		{azClientID, "give the application's (client) id"},
		{azTenant, tenant},
		{azTokenFile, "give the file that Kubernetes keeps the token in"},
	} {
		if text, ok := needed[need.name]; ok && text == "" {
			r.missing("%s is missing for %s", need.name, what).Fix("%s", need.fix)
		}
	}
}

func (r *azureReader) tenant() string {
	return r.either(azTenant, "AZURE_TENANT_ID", "AZURE_STORAGE_TENANT_ID")
}

func (r *azureReader) authority() string {
	text, v := r.env.variable("AZURE_AUTHORITY_HOST"), option.Value{Key: "AZURE_AUTHORITY_HOST"}
	if given, ok := r.value(azAuthority); ok {
		text, v = r.text(azAuthority), given
	}
	if text == "" {
		if a := azureAuthorities[r.place.Suffix]; a != "" {
			return a
		}
		return azureAuthorities[azurePublic]
	}
	text = strings.TrimSuffix(text, "/")
	if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.User != nil {
		r.Report(v, problem.InvalidValue, "%s is no URL of a host that gives tokens", v.Key).Fix("want https://HOST")
	}
	return text
}
