package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/cloud"
)

// The places of the clouds' tables, and the account and the bucket in them.
var canaryPlaces = map[cloud.Cloud]string{
	cloud.Azure: "abfss://canary@canaryaccount.dfs.core.windows.net/clicks",
	cloud.S3:    "s3://canary-bucket/clicks",
	cloud.GCS:   "gs://canary-bucket/clicks",
}

var history = []string{"table", "history"}

// sensitiveOptions are the names of all options of stores whose values are secrets, by cloud, from the page that the clouds' own test writes
// of their options. refused are those that silt knows and does not take.
func (c *canary) sensitiveOptions() (options, refused map[cloud.Cloud][]string) {
	c.Helper()
	page, err := os.ReadFile("../../docs/storage-options.md")
	if err != nil {
		c.Fatal(err)
	}
	options, refused = map[cloud.Cloud][]string{}, map[cloud.Cloud][]string{}
	of := map[string]cloud.Cloud{"## Azure": cloud.Azure, "## S3": cloud.S3, "## Google Cloud Storage": cloud.GCS}
	var now cloud.Cloud
	name := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(string(page)) {
		if next, ok := of[strings.TrimSpace(line)]; ok {
			now = next
		}
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `") || now == 0 {
			continue
		}
		names := cells[1]
		if len(cells) > 4 { // option, others, meaning; refused ones have two columns
			names += cells[2]
		}
		for _, m := range name.FindAllStringSubmatch(names, -1) {
			key := strings.NewReplacer("ACCOUNT", "canaryaccount", "BUCKET", map[cloud.Cloud]string{cloud.Azure: "canary"}[now]+
				map[cloud.Cloud]string{cloud.S3: "canary-bucket"}[now]).Replace(m[1])
			sensitive, known := cloud.Sensitive(key)
			switch {
			case !known:
				c.Errorf("%s of the page is no option", key)
			case sensitive && len(cells) > 4 && strings.Contains(cells[3], "**Secret.**"):
				options[now] = append(options[now], key)
			case sensitive:
				refused[now] = append(refused[now], key)
			case soundsSecret.MatchString(key) && now != cloud.S3: // whose encryption keys are names of KMS's
				c.Errorf("the value of %s is not kept secret", key)
			}
		}
	}
	return options, refused
}

// soundsSecret matches names of options that hold a secret, as far as a name can tell.
var soundsSecret = regexp.MustCompile(`(?i)(?:password|secret|refresh\.token|session_token|access[._]key|bearer|private\.key|customer_key|provided-key|encryption\.key)(?:_base64)?$`)

// storageOptions plants in every option of every cloud: in a value of the wrong type, beside and under an unknown name, and beside a reference
// that gives nothing.
func (c *canary) storageOptions() {
	options, refused := c.sensitiveOptions()
	for _, place := range sortedClouds() {
		if len(options[place]) < 3 {
			c.Errorf("%d secret options of %s", len(options[place]), place)
		}
		for _, key := range options[place] {
			odd := key[:len(key)-1] + "_"
			c.try(trial{name: key, args: history, once: true, want: "E1204", file: pipelineFile{
				"sink": sink(canaryPlaces[place], map[string]any{key: []string{c.g.text(key + ", a list"), "${env:ABSENT}"},
					odd: c.g.text(key + ", misspelt")})}})
			c.try(trial{name: key, args: history, once: true, want: "E1210", file: pipelineFile{
				"sink": sink(canaryPlaces[place], map[string]any{key: c.g.text(key+", unresolved") + "${env:ABSENT}"})}})
		}
		for _, key := range refused[place] {
			c.try(trial{name: key, args: history, once: true, want: "E1206", file: pipelineFile{"sink": sink(canaryPlaces[place], map[string]any{key: c.g.text(key)})}})
		}
	}
}

func sortedClouds() []cloud.Cloud { return []cloud.Cloud{cloud.Azure, cloud.S3, cloud.GCS} }

// A storeLogin is a way to log in to a cloud: its options, and what the token service gives.
type storeLogin struct {
	name    string
	place   cloud.Cloud
	options func() map[string]any
	token   bool // it gets one from a service
}

// storeLogins are all ways to log in by options, under every name of each.
func (c *canary) storeLogins() []storeLogin {
	options, _ := c.sensitiveOptions()
	var logins []storeLogin
	add := func(place cloud.Cloud, name string, token bool, options func() map[string]any) {
		logins = append(logins, storeLogin{name, place, options, token})
	}
	for _, key := range options[cloud.Azure] {
		switch low := strings.ToLower(key); {
		case strings.Contains(low, "sas"):
			add(cloud.Azure, key, false, func() map[string]any { return map[string]any{key: c.sas(key)} })
		case strings.Contains(low, "secret"):
			add(cloud.Azure, key, true, func() map[string]any {
				return map[string]any{key: c.g.text(key), "azure_client_id": "client", "azure_tenant_id": "tenant"}
			})
		case strings.Contains(low, "token"):
			add(cloud.Azure, key, false, func() map[string]any { return map[string]any{key: c.g.word(key)} })
		default:
			add(cloud.Azure, key, false, func() map[string]any { return map[string]any{key: c.g.key(key)} })
		}
	}
	for _, key := range options[cloud.S3] {
		add(cloud.S3, key, false, func() map[string]any {
			o := map[string]any{key: c.g.text(key)}
			token, secret := strings.Contains(key, "token"), strings.Contains(key, "secret")
			if token || secret {
				o["aws_access_key_id"] = c.g.word("the id beside " + key)
			}
			if !secret {
				o["aws_secret_access_key"] = c.g.word("the key beside " + key)
			}
			return o
		})
	}
	for _, key := range options[cloud.GCS] {
		switch {
		case strings.Contains(key, "token"):
			add(cloud.GCS, key, false, func() map[string]any { return map[string]any{key: c.g.word(key)} })
		case strings.Contains(key, "private"):
			add(cloud.GCS, key, true, func() map[string]any {
				return map[string]any{key: c.privateKey(key), "fs.gs.auth.service.account.email": "canary@canary.iam.gserviceaccount.com"}
			})
		default:
			add(cloud.GCS, key, true, func() map[string]any { return map[string]any{key: c.serviceAccount(key)} })
		}
	}
	userFile := func() map[string]any {
		return map[string]any{"google_application_credentials": writeFile(c.T, filepath.Join(c.dir, "user.json"), c.user("a user's file"))}
	}
	add(cloud.GCS, "a user's file", true, userFile)
	add(cloud.GCS, "a service account's file", true, func() map[string]any {
		return map[string]any{"fs.gs.auth.service.account.json.keyfile": writeFile(c.T, filepath.Join(c.dir, "account.json"), c.serviceAccount("a service account's file"))}
	})
	return logins
}

// sas plants a shared access signature, whole and its signature.
func (c *canary) sas(where string) string {
	return "sv=2024-11-04&ss=b&srt=co&sp=rwdl&se=2099-01-01T00:00:00Z&sig=" + url.QueryEscape(c.g.key(where+", sig"))
}

// privateKey plants a key in PEM: each line of it is one secret.
func (c *canary) privateKey(where string) string {
	key, err := rsa.GenerateKey(rand.Reader, 1024) // small: nobody signs with it but this test
	if err != nil {
		c.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines[2 : len(lines)-2] { // the first line of all keys is the same, the last may be short
		c.g.add(fmt.Sprintf("%s, line %d of the key", where, i), line)
	}
	return text
}

func (c *canary) serviceAccount(where string) string {
	text, _ := json.Marshal(map[string]string{"type": "service_account", "client_email": "canary@canary.iam.gserviceaccount.com",
		"private_key_id": "1", "private_key": c.privateKey(where), "token_uri": "https://oauth2.googleapis.com/token"})
	return string(text)
}

func (c *canary) user(where string) string {
	text, _ := json.Marshal(map[string]string{"type": "authorized_user", "client_id": "client", "client_secret": c.g.text(where + ", client_secret"),
		"refresh_token": c.g.text(where + ", refresh_token"), "token_uri": "https://oauth2.googleapis.com/token"})
	return string(text)
}

// workload is the file of a workload identity, whose own token is in another file.
func (c *canary) workload(tokenFile string) string {
	text, _ := json.Marshal(map[string]any{"type": "external_account", "audience": "//iam.googleapis.com/projects/1/pool", "token_url": "https://identity.example/token",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": map[string]string{"file": tokenFile}})
	return string(text)
}

// refusals are what stores answer that have nothing good to say, with the code of silt's error.
var refusals = []struct {
	status int
	codes  map[cloud.Cloud]string
	stops  bool // it is tried again
}{
	{403, map[cloud.Cloud]string{cloud.Azure: "AuthorizationPermissionMismatch", cloud.S3: "AccessDenied", cloud.GCS: "forbidden"}, false},
	{401, map[cloud.Cloud]string{cloud.Azure: "AuthenticationFailed", cloud.S3: "InvalidAccessKeyId", cloud.GCS: "authError"}, false},
	{400, map[cloud.Cloud]string{cloud.Azure: "InvalidHeaderValue", cloud.S3: "InvalidRequest", cloud.GCS: "invalid"}, false},
	{500, map[cloud.Cloud]string{cloud.Azure: "InternalError", cloud.S3: "InternalError", cloud.GCS: "backendError"}, true},
}

// endpoints are the ends of the hosts' names.
var endpoints = map[cloud.Cloud]string{cloud.Azure: ".blob.core.windows.net", cloud.S3: ".amazonaws.com", cloud.GCS: "storage.googleapis.com"}

// stores lets every login meet stores and token services that refuse, and tell what they know.
func (c *canary) stores() {
	for i, login := range c.storeLogins() {
		for j, refusal := range refusals {
			if refusal.stops && i%9 > 0 || !refusal.stops && j > 0 && (i+j)%3 > 0 { // each takes its time
				continue
			}
			options := c.planted(i+j, login.options())
			a := answers{store: refusal.status, code: refusal.codes[login.place]}
			if login.token {
				a.accessToken = c.g.word("the access token of " + login.name)
			}
			c.try(trial{name: fmt.Sprintf("%s, status %d", login.name, refusal.status), args: history, answers: a, want: "E", env: options.env,
				file: pipelineFile{"sink": sink(canaryPlaces[login.place], options.values)}, reaches: endpoints[login.place], interrupted: refusal.stops})
		}
		if !login.token {
			continue
		}
		options := c.planted(i, login.options())
		c.try(trial{name: login.name + ", no token", args: history, answers: answers{token: 401}, want: "E", env: options.env,
			file: pipelineFile{"sink": sink(canaryPlaces[login.place], options.values)}})
	}
	options := map[string]any{"aws_access_key_id": c.g.word("TLS"), "aws_secret_access_key": c.g.text("TLS"), "aws_endpoint": "https://wrong.example"}
	c.try(trial{name: "TLS", args: history, want: "E5", file: pipelineFile{"sink": sink(canaryPlaces[cloud.S3], options)}})
	for _, command := range []string{"run --once", "doctor"} {
		options := map[string]any{"fs.azure.sas.fixed.token": c.sas(command)}
		c.try(trial{name: command, args: strings.Fields(command), want: "E5", answers: answers{store: 403, code: "AuthorizationPermissionMismatch"},
			file: pipelineFile{"sink": sink(canaryPlaces[cloud.Azure], options)}})
	}
}

// plantedOptions are options, with values or with references to variables.
type plantedOptions struct {
	values map[string]any
	env    map[string]string
}

// planted gives values themselves, or by a provider: the nth of them.
func (c *canary) planted(n int, options map[string]any) plantedOptions {
	out := plantedOptions{map[string]any{}, map[string]string{}}
	for i, key := range sortedKeys(options) {
		value := options[key].(string)
		name := fmt.Sprintf("planted-%d", i)
		file := filepath.Join(c.dir, name)
		switch n % 4 {
		case 0:
			out.values[key] = value
		case 1:
			out.values[key], out.env[fmt.Sprintf("PLANTED_%d", i)] = fmt.Sprintf("${env:PLANTED_%d}", i), value
		case 2:
			out.values[key] = "${file:" + filepath.ToSlash(writeFile(c.T, file, value)) + "}"
		case 3:
			out.values[key] = "${dir:" + filepath.ToSlash(filepath.Dir(writeFile(c.T, file, value))) + ":" + name + "}"
		}
	}
	return out
}

// environment plants in the standard variables of the clouds, and in the files that they name.
func (c *canary) environment() {
	container := map[string]any{"fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider"}
	tokenFile := func(where string) string { return writeFile(c.T, filepath.Join(c.dir, where), c.g.word(where)) }
	for _, tt := range []struct {
		name    string
		place   cloud.Cloud
		env     map[string]string
		a       answers
		options map[string]any // nil: the command has no pipeline file
	}{
		{"AWS_SECRET_ACCESS_KEY", cloud.S3, map[string]string{"AWS_ACCESS_KEY_ID": c.g.word("AWS_ACCESS_KEY_ID"),
			"AWS_SECRET_ACCESS_KEY": c.g.text("AWS_SECRET_ACCESS_KEY"), "AWS_SESSION_TOKEN": c.g.word("AWS_SESSION_TOKEN")}, answers{}, nil},
		{"AWS_SHARED_CREDENTIALS_FILE", cloud.S3, map[string]string{"AWS_SHARED_CREDENTIALS_FILE": writeFile(c.T, filepath.Join(c.dir, "credentials"),
			"[default]\naws_access_key_id = "+c.g.word("a profile's id")+"\naws_secret_access_key = "+c.g.word("a profile's key")+"\naws_session_token = "+
				c.g.word("a profile's token")+"\n")}, answers{}, nil},
		{"AWS_WEB_IDENTITY_TOKEN_FILE", cloud.S3, map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": tokenFile("AWS_WEB_IDENTITY_TOKEN_FILE"),
			"AWS_ROLE_ARN": "arn:aws:iam::1:role/canary"}, answers{session: [2]string{c.g.word("a role's key"), c.g.word("a role's token")}}, nil},
		{"AWS_CONTAINER_AUTHORIZATION_TOKEN", cloud.S3, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://identity.example/container",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN": c.g.word("AWS_CONTAINER_AUTHORIZATION_TOKEN")},
			answers{session: [2]string{c.g.word("a container's key"), c.g.word("a container's token")}}, container},
		{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", cloud.S3, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://identity.example/container",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": tokenFile("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")},
			answers{session: [2]string{c.g.word("another container's key"), c.g.word("another container's token")}}, container},
		{"AZURE_STORAGE_KEY", cloud.Azure, map[string]string{"AZURE_STORAGE_KEY": c.g.key("AZURE_STORAGE_KEY")}, answers{}, nil},
		{"AZURE_STORAGE_ACCOUNT_KEY", cloud.Azure, map[string]string{"AZURE_STORAGE_ACCOUNT_KEY": c.g.key("AZURE_STORAGE_ACCOUNT_KEY")}, answers{}, nil},
		{"AZURE_STORAGE_SAS_TOKEN", cloud.Azure, map[string]string{"AZURE_STORAGE_SAS_TOKEN": c.sas("AZURE_STORAGE_SAS_TOKEN")}, answers{}, nil},
		{"AZURE_CLIENT_SECRET", cloud.Azure, map[string]string{"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant",
			"AZURE_CLIENT_SECRET": c.g.text("AZURE_CLIENT_SECRET")}, answers{accessToken: c.g.word("AZURE_CLIENT_SECRET's token")}, nil},
		{"AZURE_FEDERATED_TOKEN_FILE", cloud.Azure, map[string]string{"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant",
			"AZURE_FEDERATED_TOKEN_FILE": tokenFile("AZURE_FEDERATED_TOKEN_FILE")}, answers{accessToken: c.g.word("AZURE_FEDERATED_TOKEN_FILE's token")}, nil},
		{"GOOGLE_APPLICATION_CREDENTIALS", cloud.GCS, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": writeFile(c.T, filepath.Join(c.dir, "google.json"),
			c.serviceAccount("GOOGLE_APPLICATION_CREDENTIALS"))}, answers{accessToken: c.g.word("GOOGLE_APPLICATION_CREDENTIALS' token")}, nil},
		{"GOOGLE_APPLICATION_CREDENTIALS, a workload's", cloud.GCS, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": writeFile(c.T,
			filepath.Join(c.dir, "workload.json"), c.workload(tokenFile("a workload's token")))}, answers{accessToken: c.g.word("a workload's access token")}, nil},
		{"AWS_ENDPOINT_URL_S3", cloud.S3, map[string]string{"AWS_ENDPOINT_URL_S3": "https://key:" + c.g.word("AWS_ENDPOINT_URL_S3") + "@s3.eu-west-1.amazonaws.com"}, answers{}, nil},
		{"STORAGE_EMULATOR_HOST", cloud.GCS, map[string]string{"STORAGE_EMULATOR_HOST": "https://key:" + c.g.word("STORAGE_EMULATOR_HOST") + "@storage.googleapis.com"}, answers{}, nil},
	} {
		for _, status := range []int{403, 401} {
			a := tt.a
			a.store, a.code = status, refusals[map[int]int{403: 0, 401: 1}[status]].codes[tt.place]
			c.g.fresh = slices.Clone(envValues(c.g, tt.name, tt.env, a))
			t := trial{name: fmt.Sprintf("%s, status %d", tt.name, status), args: history, env: tt.env, want: "E", answers: a}
			if !strings.Contains(tt.name, "ENDPOINT") && !strings.Contains(tt.name, "HOST") { // which are refused
				t.reaches = endpoints[tt.place]
			}
			c.try(t.on(tt.place, tt.options))
		}
		if strings.Contains(tt.name, "TOKEN_FILE") || strings.Contains(tt.name, "CONTAINER") || strings.Contains(tt.name, "CLIENT") || strings.Contains(tt.name, "GOOGLE") {
			c.try(trial{name: tt.name + ", no token", args: history, env: tt.env, want: "E", answers: answers{token: 400}}.on(tt.place, tt.options))
		}
	}
}

// on is the trial with a table of a cloud: in a pipeline file with options, or on the command line if they are nil.
func (t trial) on(place cloud.Cloud, options map[string]any) trial {
	if options == nil {
		t.table = canaryPlaces[place]
	} else {
		t.file = pipelineFile{"sink": sink(canaryPlaces[place], options)}
	}
	return t
}

// envValues are the plants of one row of environment.
func envValues(g *garden, name string, env map[string]string, a answers) []string {
	var files string
	for _, v := range env {
		if data, err := os.ReadFile(v); err == nil {
			files += string(data)
		}
		files += v + "\n"
	}
	files += a.accessToken + a.session[0] + a.session[1]
	var out []string
	for _, p := range g.plants {
		if strings.Contains(files, p.value) || strings.Contains(files, url.QueryEscape(p.value)) {
			out = append(out, p.value)
		}
	}
	return out
}

// paths plants in places of tables: whoever writes a login into one is told not to, without the login.
func (c *canary) paths() {
	for _, text := range []string{
		"https://canaryaccount.blob.core.windows.net/canary/clicks?sv=2024&sig=%s", "abfss://canary@canaryaccount.dfs.core.windows.net/clicks?sig=%s",
		"abfss://canary:%s@canaryaccount.dfs.core.windows.net/clicks", "az://canary/clicks?%s", "s3://key:%s@canary-bucket/clicks",
		"s3a://key:%s@canary-bucket/clicks", "s3n://key:%s@canary-bucket/clicks", "gs://%s@canary-bucket/clicks", "hdfs://user:%s@name/clicks",
		"http://user:%s@host/clicks", "https://user:%s@host/clicks", "ftp://user:%s@host/clicks", "dbfs:/mnt/lake?sig=%s", "file://user:%s@host/clicks",
		"adl://key:%s@store/clicks", "wasbs://canary@canaryaccount.blob.core.windows.net/clicks?se=1&sig=%s", "jdbc:delta://user:%s@host/clicks",
	} {
		planted := func(how string) string { return fmt.Sprintf(text, c.g.word(text+how)) }
		c.try(trial{name: text + " of the file", args: history, once: true, want: "E1", file: pipelineFile{"sink": sink(planted(" of the file"), nil)}})
		c.try(trial{name: text + " of both", args: []string{"run", "--once"}, want: "E1", env: map[string]string{"PLACE": planted(" of a variable")},
			file: pipelineFile{"sink": sink("${env:PLACE}", nil), "checkpointLocation": "${env:PLACE}"}})
		c.try(trial{name: text + " of the command line", args: history, once: true, want: "E1", table: planted(" of the command line")})
		c.try(trial{name: text + " of a mount", args: history, once: true, want: "E1", file: pipelineFile{"sink": sink("dbfs:/mnt/lake/clicks", nil),
			"paths": map[string]any{"dbfs:/mnt/lake": planted(" of a mount")}}})
		c.try(trial{name: text + " of -s", args: []string{"table", "verify", "-s", "sink.delta.path=" + planted(" of -s")}, want: "E1"})
	}
}
