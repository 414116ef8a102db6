package cloud

import (
	"cmp"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

// The names of GCS's options that the code asks for.
const (
	gcsAuthType      = "fs.gs.auth.type"
	gcsKeyfile       = "fs.gs.auth.service.account.json.keyfile"
	gcsAccountKey    = "google_service_account_key"
	gcsAccountEmail  = "fs.gs.auth.service.account.email"
	gcsPrivateKey    = "fs.gs.auth.service.account.private.key"
	gcsPrivateKeyID  = "fs.gs.auth.service.account.private.key.id"
	gcsAccountEnable = "fs.gs.auth.service.account.enable"
	gcsBearerToken   = "google_bearer_token"
	gcsSkipSignature = "google_skip_signature"
	gcsRootURL       = "fs.gs.storage.root.url"
	gcsAllowHTTP     = "allow_http"
	gcsPaysMode      = "fs.gs.requester.pays.mode"
	gcsPaysProject   = "fs.gs.requester.pays.project.id"
	gcsProject       = "fs.gs.project.id"
)

// gcsSpecs are the options of Google Cloud Storage: those of Hadoop's connector (GoogleCloudDataproc/hadoop-connectors gcs/CONFIGURATION.md,
// and of its version 2, which Databricks documents) and of delta-rs (object_store's GoogleConfigKey).
func gcsSpecs() []spec {
	specs := []spec{
		{name: gcsAuthType, others: []string{"google.cloud.auth.type"},
			doc: "How to log in: SERVICE_ACCOUNT_JSON_KEYFILE, COMPUTE_ENGINE (the metadata server), APPLICATION_DEFAULT or UNAUTHENTICATED. " +
				"By default what the other options give, and without any APPLICATION_DEFAULT."},
		{name: gcsKeyfile, others: []string{"google.cloud.auth.service.account.json.keyfile", "google_service_account",
			"google_service_account_path", "service_account", "service_account_path", "google_application_credentials", "application_credentials"},
			doc: "A file of credentials in Google's JSON: of a service account, of workload identity federation, or of a user. It is read again " +
				"for each access token, so a rotated file needs no restart."},
		{name: gcsAccountKey, others: []string{"service_account_key"}, secret: true,
			doc: "The JSON of such a file itself, as a reference to a secret."},
		{name: gcsAccountEmail, others: []string{"google.cloud.auth.service.account.email"},
			doc: "The service account whose private key is given."},
		{name: gcsPrivateKey, others: []string{"google.cloud.auth.service.account.private.key"}, secret: true,
			doc: "A private key of the service account in PEM; line ends may be written \\n, as they are in a key file."},
		{name: gcsPrivateKeyID, others: []string{"google.cloud.auth.service.account.private.key.id"},
			doc: "The id of that private key."},
		{name: gcsAccountEnable, others: []string{"google.cloud.auth.service.account.enable"},
			doc: "Only true, which is what silt does; UNAUTHENTICATED is a value of fs.gs.auth.type."},
		{name: gcsBearerToken, others: []string{"bearer_token"}, secret: true,
			doc: "An OAuth access token. silt asks for no other; one from a provider is read again when the store refuses it."},
		{name: gcsSkipSignature, others: []string{"skip_signature"},
			doc: "true is UNAUTHENTICATED: requests carry no credentials, as for a public bucket or an emulator."},
		{name: gcsRootURL, others: []string{"google_base_url", "base_url"},
			doc: "The root of the JSON API, https://storage.googleapis.com by default. STORAGE_EMULATOR_HOST in the environment names an emulator."},
		{name: gcsAllowHTTP, others: []string{"google_allow_http"},
			doc: "true lets the root be http:// elsewhere than on this machine; everything, credentials included, is then sent in the clear."},
		{name: gcsPaysMode,
			doc: "ENABLED bills requests to the project that the next option names (Requester Pays), DISABLED to the bucket's owner."},
		{name: gcsPaysProject,
			doc: "The project that requests are billed to under ENABLED; " + gcsProject + " by default."},
		{name: gcsProject,
			doc: "The project that requests are billed to under ENABLED. Nothing else needs it: silt makes and lists no buckets."},
	}
	specs = append(specs, gcsUnsupported()...)
	for i := range specs {
		specs[i].cloud = GCS
	}
	return specs
}

// gcsUnsupported are options that users of the connector and of delta-rs know.
func gcsUnsupported() []spec {
	const userFile = "name a file of type authorized_user by " + gcsKeyfile + "; gcloud auth application-default login makes one"
	const ownKeys = "remove it: objects that are encrypted with a key of your own are not supported; a key of Cloud KMS is the bucket's affair"
	const proxy = "remove it and set HTTPS_PROXY in the environment"
	const fileSystem = "remove it: silt needs no file system of Hadoop"
	return []spec{
		{name: "google_bucket", others: []string{"google_bucket_name"}, unsupported: "remove it: the bucket is that of the path"},
		{name: "fs.gs.auth.service.account.keyfile", others: []string{"google.cloud.auth.service.account.keyfile"},
			unsupported: "make a key in JSON, not P12, and name its file by " + gcsKeyfile},
		{name: "fs.gs.auth.client.id", unsupported: userFile},
		{name: "fs.gs.auth.client.secret", unsupported: userFile, secret: true},
		{name: "fs.gs.auth.refresh.token", unsupported: userFile, secret: true},
		{name: "fs.gs.auth.access.token.provider", others: []string{"fs.gs.auth.access.token.provider.impl"},
			unsupported: "give a token as " + gcsBearerToken + ", or a file of credentials by " + gcsKeyfile},
		{name: "fs.gs.auth.impersonation.service.account", unsupported: "name a file of type impersonated_service_account by " + gcsKeyfile +
			"; gcloud auth application-default login --impersonate-service-account makes one"},
		{name: "fs.gs.token.server.url", unsupported: "remove it: the file of credentials names the token server"},
		{name: "fs.gs.encryption.algorithm", unsupported: ownKeys},
		{name: "fs.gs.encryption.key", unsupported: ownKeys, secret: true},
		{name: "fs.gs.encryption.key.hash", unsupported: ownKeys},
		{name: "fs.gs.requester.pays.buckets", unsupported: "remove it: set " + gcsPaysMode + ": ENABLED, which is for the bucket of the path"},
		{name: "fs.gs.proxy.address", unsupported: proxy},
		{name: "fs.gs.proxy.username", unsupported: proxy},
		{name: "fs.gs.proxy.password", unsupported: proxy, secret: true},
		{name: "fs.gs.impl", unsupported: fileSystem},
		{name: "fs.AbstractFileSystem.gs.impl", unsupported: fileSystem},
	}
}

// A gcsLogin is how access tokens are had.
type gcsLogin uint8

const (
	gcsDefault   gcsLogin = iota // gcloud's own file if there is one, else the metadata server
	gcsFile                      // a file of credentials
	gcsJSON                      // its text
	gcsToken                     // a token that somebody else got
	gcsMetadata                  // the metadata server
	gcsAnonymous                 // no tokens
)

// A gcsConfig is everything that a bucket's backend is made of.
type gcsConfig struct {
	place Place
	root  *url.URL // scheme and host
	login gcsLogin
	// from is the option that the credentials came from, its zero value the environment.
	from option.Value
	// file is the path of a file of credentials: of gcsFile, and of gcsDefault ("": gcloud has none here).
	file string
	// secret is the JSON of gcsJSON or the token of gcsToken.
	secret secret.Secret
	// metadataHost is where the metadata server is.
	metadataHost string
	// userProject pays for the requests; "" is the bucket's owner.
	userProject string
}

func (c gcsConfig) serviceURL() string { return c.root.String() }

const (
	gcsDefaultRoot = "https://storage.googleapis.com"
	// gcsMetadataIP is the metadata server's address on every machine of Google's; GCE_METADATA_HOST names another.
	gcsMetadataIP = "169.254.169.254"
)

// gcsSettings puts together what the options of a place and the environment say. It reads no file.
func gcsSettings(p Place, g given, env Env) (gcsConfig, []*problem.Problem) {
	r := &gcsReader{newReader(g, env)}
	c := gcsConfig{place: p, metadataHost: cmp.Or(env.variable("GCE_METADATA_HOST"), gcsMetadataIP)}
	emulator := r.root(&c)
	r.login(&c, emulator)
	r.requesterPays(&c)
	return c, r.Reported()
}

type gcsReader struct{ reader }

// root finds the API's root; emulator says that the environment named it.
func (r *gcsReader) root(c *gcsConfig) (emulator bool) {
	v, ok := r.value(gcsRootURL)
	text := r.text(gcsRootURL)
	if !ok {
		v.Key = "STORAGE_EMULATOR_HOST"
		if text = r.env.variable(v.Key); text != "" {
			emulator = true
			if !strings.Contains(text, "://") { // as Google's own clients read it
				text = "http://" + text
			}
		} else {
			text = gcsDefaultRoot
		}
	}
	plain := r.Bool(gcsAllowHTTP, false)
	u, err := url.Parse(text)
	path := ""
	if err == nil {
		path = strings.TrimSuffix(strings.Trim(u.Path, "/"), "storage/v1")
	}
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || path != "":
		// The text may hold a login.
		r.Report(v, problem.InvalidValue, "%s is no root of the JSON API; want https://HOST[:PORT]", v.Key)
		u = &url.URL{}
	case u.Scheme == "http" && !plain && !option.Loopback(u.Hostname()):
		r.Report(v, problem.Insecure, "%s is http://%s: credentials and data would be sent in the clear", v.Key, u.Host).
			Fix("use https, or set %s: true in sink.storageOptions if the network is yours alone", gcsAllowHTTP)
	}
	c.root = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return emulator
}

// login finds the way to log in, of which the options may name one.
func (r *gcsReader) login(c *gcsConfig, emulator bool) {
	if v, ok := r.value(gcsAccountEnable); ok && !r.Bool(gcsAccountEnable, true) {
		r.Report(v, problem.Unsupported, "%s is false", v.Key).Fix("set %s: UNAUTHENTICATED, or give a user's credentials by %s", gcsAuthType, gcsKeyfile)
	}
	named := false
	choose := func(v option.Value, l gcsLogin) bool {
		if named {
			r.Report(v, problem.Conflict, "%s and %s both say how to log in", c.from.Key, v.Key).Fix("remove one of them")
			return false
		}
		named, c.from, c.login = true, v, l
		return true
	}
	if v, ok := r.value(gcsKeyfile); ok && choose(v, gcsFile) {
		if c.file = r.text(gcsKeyfile); c.file == "" {
			r.Report(v, problem.InvalidValue, "%s is empty; want the path of a file", v.Key)
		}
	}
	if v, ok := r.value(gcsAccountKey); ok && choose(v, gcsJSON) {
		c.secret = v.AsSecret()
		if _, err := readGCSCredentials([]byte(c.secret.Reveal())); err != nil {
			r.Report(v, problem.InvalidValue, "%s cannot be used: %v", v.Key, err).Fix("give the whole JSON of a key, as a reference to a secret")
		}
	}
	if v, ok := r.value(gcsPrivateKey); ok && choose(v, gcsJSON) {
		c.secret = r.privateKey(v)
	} else if !ok {
		for _, name := range []string{gcsAccountEmail, gcsPrivateKeyID} {
			if v, ok := r.value(name); ok {
				r.Report(v, problem.MissingOption, "%s is given without %s", v.Key, gcsPrivateKey)
			}
		}
	}
	if v, ok := r.value(gcsBearerToken); ok && choose(v, gcsToken) {
		if c.secret = v.AsSecret(); c.secret.IsZero() {
			r.Report(v, problem.InvalidValue, "%s is empty", v.Key)
		}
	}
	if v, ok := r.value(gcsSkipSignature); ok && r.Bool(gcsSkipSignature, false) {
		choose(v, gcsAnonymous)
	}
	r.authType(c, named, choose)
	if c.login != gcsDefault || c.from.Key != "" {
		return
	}
	switch file := r.env.variable("GOOGLE_APPLICATION_CREDENTIALS"); {
	case emulator:
		c.login = gcsAnonymous // emulators know no logins, and none is sent to one that the environment names
	case file != "":
		c.login, c.file = gcsFile, file
	default:
		c.file = r.wellKnownFile()
	}
}

// authType reads fs.gs.auth.type, which must fit what the other options gave.
func (r *gcsReader) authType(c *gcsConfig, named bool, choose func(option.Value, gcsLogin) bool) {
	v, ok := r.value(gcsAuthType)
	if !ok {
		return
	}
	switch text := strings.ToUpper(r.text(gcsAuthType)); text {
	case "SERVICE_ACCOUNT_JSON_KEYFILE":
		if !named {
			r.Report(v, problem.MissingOption, "%s is %s, and %s is missing", v.Key, text, gcsKeyfile)
		} else if c.login != gcsFile && c.login != gcsJSON {
			choose(v, gcsFile)
		}
	case "COMPUTE_ENGINE":
		choose(v, gcsMetadata)
	case "APPLICATION_DEFAULT":
		if choose(v, gcsDefault) {
			c.from = option.Value{} // the environment gives them
		}
	case "UNAUTHENTICATED":
		if c.login != gcsAnonymous { // said twice is no conflict
			choose(v, gcsAnonymous)
		}
	case "USER_CREDENTIALS", "ACCESS_TOKEN_PROVIDER":
		r.Report(v, problem.Unsupported, "%s is %s, which silt does not support", v.Key, text).
			Fix("use APPLICATION_DEFAULT, or a file of credentials by %s", gcsKeyfile)
	default:
		r.Report(v, problem.InvalidValue, "%s is %q; want SERVICE_ACCOUNT_JSON_KEYFILE, COMPUTE_ENGINE, APPLICATION_DEFAULT or UNAUTHENTICATED",
			v.Key, v.Shown())
	}
}

// privateKey is the JSON of a key whose parts are options of their own.
func (r *gcsReader) privateKey(v option.Value) secret.Secret {
	email, id := r.text(gcsAccountEmail), r.text(gcsPrivateKeyID)
	if email == "" {
		r.Report(v, problem.MissingOption, "%s is given without %s", v.Key, gcsAccountEmail)
	}
	return v.AsSecret().Map(func(pem string) string {
		text, err := json.Marshal(map[string]string{
			"type": gcsServiceAccount, "client_email": email, "private_key_id": id, "private_key": strings.ReplaceAll(pem, `\n`, "\n"),
		})
		if err != nil {
			return ""
		}
		return string(text)
	})
}

// wellKnownFile is where gcloud keeps application default credentials.
func (r *gcsReader) wellKnownFile() string {
	const name = "application_default_credentials.json"
	if dir := r.env.variable("CLOUDSDK_CONFIG"); dir != "" {
		return filepath.Join(dir, name)
	}
	if dir := r.env.variable("APPDATA"); dir != "" {
		return filepath.Join(dir, "gcloud", name)
	}
	if dir := r.env.variable("HOME"); dir != "" {
		return filepath.Join(dir, ".config", "gcloud", name)
	}
	return ""
}

// requesterPays finds out who pays.
func (r *gcsReader) requesterPays(c *gcsConfig) {
	v, ok := r.value(gcsPaysMode)
	if !ok {
		if v, ok := r.value(gcsPaysProject); ok {
			r.Report(v, problem.MissingOption, "%s is given without %s: ENABLED", v.Key, gcsPaysMode)
		}
		return
	}
	switch text := strings.ToUpper(r.text(gcsPaysMode)); text {
	case "DISABLED":
	case "ENABLED":
		if c.userProject = r.text(gcsPaysProject, gcsProject); c.userProject == "" {
			r.Report(v, problem.MissingOption, "%s is ENABLED, and %s is missing", v.Key, gcsPaysProject)
		}
	case "AUTO", "CUSTOM":
		r.Report(v, problem.Unsupported, "%s is %s, which silt does not support", v.Key, text).Fix("set ENABLED, which is for the bucket of the path")
	default:
		r.Report(v, problem.InvalidValue, "%s is %q; want ENABLED or DISABLED", v.Key, v.Shown())
	}
}
