package cloud

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
	"github.com/siltlake/silt/internal/secret"
)

func TestGCSSettings(t *testing.T) {
	const key = `{"type":"service_account","client_email":"a@b","private_key":"hunter2"}`
	home := map[string]string{"HOME": "/me"}
	for _, tt := range []struct {
		name string
		g    given
		env  map[string]string
		want gcsConfig // login, file, metadataHost, userProject
		root string
	}{
		{"nothing: gcloud's file or the metadata server", nil, home,
			gcsConfig{login: gcsDefault, file: "/me/.config/gcloud/application_default_credentials.json"}, gcsDefaultRoot},
		{"gcloud's own folder", nil, map[string]string{"HOME": "/me", "CLOUDSDK_CONFIG": "/g"},
			gcsConfig{login: gcsDefault, file: "/g/application_default_credentials.json"}, gcsDefaultRoot},
		{"the standard variable", nil, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/c.json"},
			gcsConfig{login: gcsFile, file: "/c.json"}, gcsDefaultRoot},
		{"an option goes first", gcsGiven(gcsKeyfile, " /k.json "), map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/c.json"},
			gcsConfig{login: gcsFile, file: "/k.json"}, gcsDefaultRoot},
		{"Hadoop's way to say the same", gcsGiven(gcsKeyfile, "/k.json", gcsAuthType, "service_account_json_keyfile"), nil,
			gcsConfig{login: gcsFile, file: "/k.json"}, gcsDefaultRoot},
		{"the JSON itself", gcsGiven(gcsAccountKey, key), nil, gcsConfig{login: gcsJSON}, gcsDefaultRoot},
		{"the parts of a key, as Databricks writes them", gcsGiven(gcsAccountEnable, "true", gcsAccountEmail, "a@b", gcsProject, "p", gcsPrivateKey, "hunter2",
			gcsPrivateKeyID, "1"), nil, gcsConfig{login: gcsJSON}, gcsDefaultRoot},
		{"a token", gcsGiven(gcsBearerToken, "t"), nil, gcsConfig{login: gcsToken}, gcsDefaultRoot},
		{"the metadata server", gcsGiven(gcsAuthType, "COMPUTE_ENGINE"), map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/c.json"},
			gcsConfig{login: gcsMetadata}, gcsDefaultRoot},
		{"another metadata server", gcsGiven(gcsAuthType, "COMPUTE_ENGINE"), map[string]string{"GCE_METADATA_HOST": "m:80"},
			gcsConfig{login: gcsMetadata, metadataHost: "m:80"}, gcsDefaultRoot},
		{"the environment, said", gcsGiven(gcsAuthType, "APPLICATION_DEFAULT"), map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "/c.json"},
			gcsConfig{login: gcsFile, file: "/c.json"}, gcsDefaultRoot},
		{"anonymous", gcsGiven(gcsAuthType, "UNAUTHENTICATED"), home, gcsConfig{login: gcsAnonymous}, gcsDefaultRoot},
		{"anonymous, said twice", gcsGiven(gcsAuthType, "UNAUTHENTICATED", gcsSkipSignature, "TRUE"), nil, gcsConfig{login: gcsAnonymous}, gcsDefaultRoot},
		{"not anonymous", gcsGiven(gcsSkipSignature, "false", gcsKeyfile, "/k"), nil, gcsConfig{login: gcsFile, file: "/k"}, gcsDefaultRoot},

		{"an emulator without a scheme is http and knows no logins", nil, map[string]string{"STORAGE_EMULATOR_HOST": "localhost:4443", "HOME": "/h"},
			gcsConfig{login: gcsAnonymous}, "http://localhost:4443"},
		{"an emulator by its URL", nil, map[string]string{"STORAGE_EMULATOR_HOST": "http://127.0.0.1:4443/storage/v1/"},
			gcsConfig{login: gcsAnonymous}, "http://127.0.0.1:4443"},
		{"an emulator with a login", gcsGiven(gcsKeyfile, "/k"), map[string]string{"STORAGE_EMULATOR_HOST": "localhost:4443"},
			gcsConfig{login: gcsFile, file: "/k"}, "http://localhost:4443"},
		{"the option goes before the emulator, and means real logins", gcsGiven(gcsRootURL, "https://storage.googleapis.com/"),
			map[string]string{"STORAGE_EMULATOR_HOST": "localhost:4443", "GOOGLE_APPLICATION_CREDENTIALS": "/c"},
			gcsConfig{login: gcsFile, file: "/c"}, gcsDefaultRoot},
		{"http on this machine", gcsGiven(gcsRootURL, "http://[::1]:4443", gcsSkipSignature, "true"), nil, gcsConfig{login: gcsAnonymous}, "http://[::1]:4443"},
		{"http elsewhere, allowed", gcsGiven(gcsRootURL, "http://gcs:4443", gcsAllowHTTP, "true", gcsSkipSignature, "true"), nil,
			gcsConfig{login: gcsAnonymous}, "http://gcs:4443"},

		{"requester pays", gcsGiven(gcsPaysMode, "enabled", gcsPaysProject, "p", gcsProject, "q", gcsSkipSignature, "true"), nil,
			gcsConfig{login: gcsAnonymous, userProject: "p"}, gcsDefaultRoot},
		{"the project pays", gcsGiven(gcsPaysMode, "ENABLED", gcsProject, "q", gcsSkipSignature, "true"), nil,
			gcsConfig{login: gcsAnonymous, userProject: "q"}, gcsDefaultRoot},
		{"the owner pays", gcsGiven(gcsPaysMode, "DISABLED", gcsProject, "q", gcsSkipSignature, "true"), nil, gcsConfig{login: gcsAnonymous}, gcsDefaultRoot},
	} {
		env := Env{Getenv: func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok }}
		got, problems := gcsSettings(Place{Cloud: GCS, Bucket: "b"}, tt.g, env)
		if len(problems) > 0 {
			t.Errorf("%s: %v", tt.name, problem.List(problems))
			continue
		}
		if tt.want.metadataHost == "" {
			tt.want.metadataHost = gcsMetadataIP
		}
		if got.login != tt.want.login || got.file != tt.want.file || got.metadataHost != tt.want.metadataHost ||
			got.userProject != tt.want.userProject || got.root.String() != tt.root {
			t.Errorf("%s: got login %d file %q metadata %q project %q root %s", tt.name, got.login, got.file, got.metadataHost, got.userProject, got.root)
		}
	}
}

func TestGCSKeyOfPartsIsACredentialsFile(t *testing.T) {
	g := gcsGiven(gcsAccountEmail, "a@b", gcsPrivateKeyID, "7")
	g[gcsPrivateKey] = option.Value{Key: gcsPrivateKey, IsSecret: true, Secret: secret.New(`-----BEGIN\nhunter2\n-----END\n`)}
	c, problems := gcsSettings(Place{}, g, Env{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	const want = `{"client_email":"a@b","private_key":"-----BEGIN\nhunter2\n-----END\n","private_key_id":"7","type":"service_account"}`
	if got := c.secret.Reveal(); got != want {
		t.Errorf("got %s", got)
	}
	if _, err := readGCSCredentials([]byte(want)); err != nil {
		t.Error(err)
	}
}

func TestGCSSettingsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		g    given
		env  map[string]string
		code problem.Code
		want string
	}{
		{"two logins", gcsGiven(gcsKeyfile, "/k", gcsBearerToken, "hunter2"), nil, problem.Conflict, "fs.gs.auth.service.account.json.keyfile and google_bearer_token"},
		{"a key, and none", gcsGiven(gcsKeyfile, "/k", gcsSkipSignature, "true"), nil, problem.Conflict, "both say how to log in"},
		{"a type that is not the key's", gcsGiven(gcsKeyfile, "/k", gcsAuthType, "COMPUTE_ENGINE"), nil, problem.Conflict, "both say"},
		{"a token is no file", gcsGiven(gcsBearerToken, "hunter2", gcsAuthType, "SERVICE_ACCOUNT_JSON_KEYFILE"), nil, problem.Conflict, "both say"},
		{"a type without its file", gcsGiven(gcsAuthType, "SERVICE_ACCOUNT_JSON_KEYFILE"), nil, problem.MissingOption, gcsKeyfile + " is missing"},
		{"a type that silt does not have", gcsGiven(gcsAuthType, "USER_CREDENTIALS"), nil, problem.Unsupported, "USER_CREDENTIALS"},
		{"no type", gcsGiven(gcsAuthType, "KERBEROS"), nil, problem.InvalidValue, `is "KERBEROS"`},
		{"an empty path", gcsGiven(gcsKeyfile, " "), nil, problem.InvalidValue, "is empty"},
		{"a key that is no JSON", gcsGiven(gcsAccountKey, "hunter2"), nil, problem.InvalidValue, "not the JSON"},
		{"an empty token", gcsGiven(gcsBearerToken, ""), nil, problem.InvalidValue, "is empty"},
		{"a private key of nobody", gcsGiven(gcsPrivateKey, "hunter2"), nil, problem.MissingOption, gcsAccountEmail},
		{"somebody without a key", gcsGiven(gcsAccountEmail, "a@b"), nil, problem.MissingOption, gcsPrivateKey},
		{"no service account", gcsGiven(gcsAccountEnable, "false"), nil, problem.Unsupported, "is false"},
		{"not a boolean", gcsGiven(gcsSkipSignature, "yes"), nil, problem.InvalidValue, "want true or false"},
		{"http elsewhere", gcsGiven(gcsRootURL, "http://gcs:4443"), nil, problem.Insecure, "in the clear"},
		{"an emulator elsewhere", nil, map[string]string{"STORAGE_EMULATOR_HOST": "gcs:4443"}, problem.Insecure, "STORAGE_EMULATOR_HOST"},
		{"a login in the root", gcsGiven(gcsRootURL, "https://me:hunter2@host"), nil, problem.InvalidValue, "no root"},
		{"a path in the root", gcsGiven(gcsRootURL, "https://host/bucket"), nil, problem.InvalidValue, "no root"},
		{"a query in the root", gcsGiven(gcsRootURL, "https://host/?key=hunter2"), nil, problem.InvalidValue, "no root"},
		{"no scheme", gcsGiven(gcsRootURL, "host:4443"), nil, problem.InvalidValue, "no root"},
		{"nobody pays", gcsGiven(gcsPaysMode, "ENABLED"), nil, problem.MissingOption, gcsPaysProject},
		{"somebody pays for nothing", gcsGiven(gcsPaysProject, "p"), nil, problem.MissingOption, gcsPaysMode},
		{"a mode that silt does not have", gcsGiven(gcsPaysMode, "AUTO"), nil, problem.Unsupported, "AUTO"},
		{"no mode", gcsGiven(gcsPaysMode, "yes"), nil, problem.InvalidValue, "ENABLED or DISABLED"},
	} {
		env := Env{Getenv: func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok }}
		_, problems := gcsSettings(Place{Cloud: GCS, Bucket: "b"}, tt.g, env)
		if len(problems) != 1 || problems[0].Code != tt.code || !strings.Contains(problems[0].Message, tt.want) {
			t.Errorf("%s: got %v, want one %s with %q", tt.name, problem.List(problems), tt.code, tt.want)
		}
		for _, p := range problems {
			if strings.Contains(p.Error()+p.Why+p.Hint, "hunter2") {
				t.Errorf("%s: a secret is printed: %v", tt.name, p)
			}
		}
	}
}

func TestGCSOptionsHaveOneName(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range gcsSpecs() {
		if s.cloud != GCS || s.unsupported == "" && s.doc == "" {
			t.Errorf("%s has no cloud or nothing that is said of it", s.name)
		}
		for _, name := range append([]string{s.name}, s.others...) {
			if name = strings.ToLower(name); seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
	}
	for _, name := range []string{gcsAuthType, gcsKeyfile, gcsAccountKey, gcsAccountEmail, gcsPrivateKey, gcsPrivateKeyID, gcsAccountEnable, gcsBearerToken,
		gcsSkipSignature, gcsRootURL, gcsAllowHTTP, gcsPaysMode, gcsPaysProject, gcsProject} {
		if !seen[name] {
			t.Errorf("%s is read and not in the list: %q", name, slices.Sorted(maps.Keys(seen)))
		}
	}
}
