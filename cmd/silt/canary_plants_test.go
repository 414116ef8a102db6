package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/siltlake/silt/internal/cloud"
)

// plantedProcess is set in the process that TestNoPlantedSecretIsFound starts: the standard library reads the proxy and the authorities once
// in a process, and those of the other tests are others.
const plantedProcess = "SILT_TEST_PLANTED"

// TestNoPlantedSecretIsFound plants secrets in every option that holds one, every provider, every variable and every kind of URL, lets
// everything fail that sees them, with servers that tell in their errors all that they were sent and more, and lets a query succeed. Of all
// that was printed and written it searches each byte for each of them.
func TestNoPlantedSecretIsFound(t *testing.T) {
	if _, ok := os.LookupEnv(plantedProcess); ok {
		plantAndSearch(t)
		return
	}
	if racing {
		t.Skip("hundreds of commands and a search of each byte take minutes under the race detector; TestNoSecretLeavesARealQuery runs a query under it")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoPlantedSecretIsFound$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), plantedProcess+"=1")
	out, err := cmd.CombinedOutput()
	summary := regexp.MustCompile(`(?m)^.*searched \d+ outputs.*$`).Find(out)
	if err != nil || summary == nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", bytes.TrimSpace(summary))
}

// A trial is one command with secrets planted in what it reads.
type trial struct {
	name string
	// file is the pipeline file, of which the sections that are not there are what works.
	file pipelineFile
	env  map[string]string
	args []string // of silt, without -c and -o; the first two are the command
	// answers are those of the services.
	answers answers
	// want is what the output holds if the secrets were where they were meant to be; "": the exit status is 0.
	want string
	// reaches is the end of a host's name that must have been asked.
	reaches string
	engine  func(values []string) engine
	// interrupted: the command is stopped after some requests, for it would try again for a minute.
	interrupted bool
	once        bool // for people or for programs, in turn
	// knows are the secrets that the servers tell; nil: all that were planted for the trial.
	knows []string
	table string // the argument in place of -c
}

// pipelineFile is the tree of a pipeline file.
type pipelineFile map[string]any

// canary is the state of the test.
type canary struct {
	*testing.T
	g       *garden
	net     *internet
	broker  string
	dir     string
	outputs int
	bytes   int
	files   int
	runs    int
}

func plantAndSearch(t *testing.T) {
	c := &canary{T: t, g: &garden{}, net: newInternet(t), dir: t.TempDir()}
	home := filepath.Join(c.dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	proxy, _ := url.Parse(c.net.proxy.URL)
	proxy.User = url.UserPassword("somebody", c.g.word("HTTPS_PROXY"))
	for name, value := range map[string]string{
		"SSL_CERT_FILE": writeFile(t, filepath.Join(c.dir, "ca.pem"), c.net.pem), "HTTPS_PROXY": proxy.String(), "NO_PROXY": "", "HOME": home,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CA_BUNDLE": "", "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential", "AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client",
		"AZURE_CLIENT_SECRET": c.g.text("AZURE_CLIENT_SECRET of the process"),
	} {
		t.Setenv(name, value)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "clicks"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	c.broker = cluster.ListenAddrs()[0]
	for _, step := range []struct {
		name string
		run  func()
	}{
		{"options of stores", c.storageOptions}, {"stores that refuse", c.stores}, {"the environment", c.environment}, {"paths", c.paths},
		{"broker and registry", c.services}, {"providers", c.providers}, {"panics", c.panics}, {"a query", c.query},
	} {
		began := time.Now()
		step.run()
		t.Logf("%s: %d plants, %d commands so far, %v", step.name, len(c.g.plants), c.runs, time.Since(began).Round(time.Millisecond))
	}
	if len(c.g.plants) < 200 {
		t.Errorf("%d plants", len(c.g.plants))
	}
	t.Logf("searched %d outputs and %d files, %d KiB, of %d commands for %d plants in %d forms", c.outputs, c.files, c.bytes>>10, c.runs, len(c.g.plants), len(formsOf(c.g.plants[0].value)))
}

// search looks for every plant.
func (c *canary) search(what string, text []byte) {
	c.bytes += len(text)
	if found := c.g.find(text); len(found) > 0 {
		c.Errorf("%s:%s", what, c.g.show(text, found))
	}
}

// folder searches every file below a folder, and their names.
func (c *canary) folder(what, dir string) {
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		c.files++
		rel, _ := filepath.Rel(c.dir, name)
		c.search(what+": the file "+rel, append([]byte(rel+"\n"), data...))
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		c.Error(err)
	}
}

// write writes a pipeline file, with what it lacks.
func (c *canary) write(name string, file pipelineFile) string {
	c.Helper()
	whole := pipelineFile{"name": "canary", "checkpointLocation": filepath.Join(c.dir, "out", "checkpoint"),
		"source":   map[string]any{"kafka": c.kafka(nil)},
		"registry": map[string]any{"schema.registry.url": "https://registry.example"},
		"sink":     map[string]any{"delta": map[string]any{"path": filepath.Join(c.dir, "out", "clicks")}}}
	for k, v := range file {
		whole[k] = v
	}
	text, err := json.MarshalIndent(whole, "", "  ") // JSON is YAML
	if err != nil {
		c.Fatal(err)
	}
	return writeFile(c.T, filepath.Join(c.dir, name), string(text))
}

// kafka is the section source.kafka with more options.
func (c *canary) kafka(more map[string]any) map[string]any {
	section := map[string]any{"kafka.bootstrap.servers": c.broker, "subscribe": "clicks", "startingOffsets": "earliest"}
	for k, v := range more {
		section[k] = v
	}
	return section
}

// sink is the section sink of a table at a path.
func sink(path string, options map[string]any) map[string]any {
	return map[string]any{"delta": map[string]any{"path": path}, "storageOptions": options}
}

// try runs a trial, for people and for programs, and searches everything. It returns what was printed.
func (c *canary) try(tr trial) string {
	c.Helper()
	values := c.g.harvest()
	if tr.knows == nil {
		tr.knows = values
	}
	var all string
	outputs := []string{"table", "json"}
	if tr.once {
		outputs = outputs[c.runs%2:][:1]
	}
	for _, output := range outputs {
		c.runs++
		c.net.set(tr.answers, tr.knows)
		f := newFakeProcess(newEngine())
		if tr.engine != nil {
			f.engine = tr.engine(values)
		}
		trace := filepath.Join(c.dir, "trace")
		f.env = map[string]string{"SILT_TRACE": trace, "SILT_DEBUG": "1", "HOME": os.Getenv("HOME"), "AWS_REGION": "eu-west-1"}
		for k, v := range tr.env {
			f.env[k] = v
		}
		if tr.interrupted {
			a, n := tr.answers, 0
			a.onRequest = func() {
				if n++; n == 3 {
					f.signals <- syscall.SIGTERM
				}
			}
			c.net.set(a, tr.knows)
		}
		args := append(slices.Clone(tr.args), "-vv", "-o", output)
		if tr.table != "" {
			args = append(args, "--", tr.table)
		} else {
			args = append(args, "-c", c.write("pipeline.yaml", tr.file))
		}
		slow := time.AfterFunc(10*time.Second, func() { f.signals <- syscall.SIGTERM })
		status := f.main(args...)
		if !slow.Stop() {
			c.Errorf("%s -o %s was not done after 10 seconds:\n%s", tr.name, output, f.stderr.String())
		}
		text := f.stdout.String() + f.stderr.String()
		all += text
		c.outputs++
		c.search(tr.name+" -o "+output, []byte(text))
		switch asked := c.net.asked(tr.reaches); {
		case tr.want == "" && status != 0, tr.want != "" && (status == 0 || !strings.Contains(text, tr.want)):
			c.Errorf("%s -o %s: status %d, and not what was meant, %q:\n%s", tr.name, output, status, tr.want, text)
		case tr.reaches != "" && asked == 0:
			c.Errorf("%s: nobody asked %s:\n%s", tr.name, tr.reaches, text)
		}
		if lines, err := os.ReadFile(trace); err == nil {
			c.outputs++
			c.search(tr.name+": the trace", lines)
			_ = os.Remove(trace)
		}
	}
	c.folder(tr.name, filepath.Join(c.dir, "out"))
	return all
}

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

// A login is a way to log in to a cloud: its options, and what the token service gives.
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
	tokenFile := func(where string) string { return writeFile(c.T, filepath.Join(c.dir, where), c.g.word(where)) }
	for _, tt := range []struct {
		name  string
		place cloud.Cloud
		env   map[string]string
		a     answers
	}{
		{"AWS_SECRET_ACCESS_KEY", cloud.S3, map[string]string{"AWS_ACCESS_KEY_ID": c.g.word("AWS_ACCESS_KEY_ID"),
			"AWS_SECRET_ACCESS_KEY": c.g.text("AWS_SECRET_ACCESS_KEY"), "AWS_SESSION_TOKEN": c.g.word("AWS_SESSION_TOKEN")}, answers{}},
		{"AWS_SHARED_CREDENTIALS_FILE", cloud.S3, map[string]string{"AWS_SHARED_CREDENTIALS_FILE": writeFile(c.T, filepath.Join(c.dir, "credentials"),
			"[default]\naws_access_key_id = "+c.g.word("a profile's id")+"\naws_secret_access_key = "+c.g.word("a profile's key")+"\naws_session_token = "+
				c.g.word("a profile's token")+"\n")}, answers{}},
		{"AWS_WEB_IDENTITY_TOKEN_FILE", cloud.S3, map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": tokenFile("AWS_WEB_IDENTITY_TOKEN_FILE"),
			"AWS_ROLE_ARN": "arn:aws:iam::1:role/canary"}, answers{session: [2]string{c.g.word("a role's key"), c.g.word("a role's token")}}},
		{"AZURE_STORAGE_KEY", cloud.Azure, map[string]string{"AZURE_STORAGE_KEY": c.g.key("AZURE_STORAGE_KEY")}, answers{}},
		{"AZURE_STORAGE_ACCOUNT_KEY", cloud.Azure, map[string]string{"AZURE_STORAGE_ACCOUNT_KEY": c.g.key("AZURE_STORAGE_ACCOUNT_KEY")}, answers{}},
		{"AZURE_STORAGE_SAS_TOKEN", cloud.Azure, map[string]string{"AZURE_STORAGE_SAS_TOKEN": c.sas("AZURE_STORAGE_SAS_TOKEN")}, answers{}},
		{"AZURE_CLIENT_SECRET", cloud.Azure, map[string]string{"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant",
			"AZURE_CLIENT_SECRET": c.g.text("AZURE_CLIENT_SECRET")}, answers{accessToken: c.g.word("AZURE_CLIENT_SECRET's token")}},
		{"AZURE_FEDERATED_TOKEN_FILE", cloud.Azure, map[string]string{"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant",
			"AZURE_FEDERATED_TOKEN_FILE": tokenFile("AZURE_FEDERATED_TOKEN_FILE")}, answers{accessToken: c.g.word("AZURE_FEDERATED_TOKEN_FILE's token")}},
		{"GOOGLE_APPLICATION_CREDENTIALS", cloud.GCS, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": writeFile(c.T, filepath.Join(c.dir, "google.json"),
			c.serviceAccount("GOOGLE_APPLICATION_CREDENTIALS"))}, answers{accessToken: c.g.word("GOOGLE_APPLICATION_CREDENTIALS' token")}},
		{"AWS_ENDPOINT_URL_S3", cloud.S3, map[string]string{"AWS_ENDPOINT_URL_S3": "https://key:" + c.g.word("AWS_ENDPOINT_URL_S3") + "@s3.eu-west-1.amazonaws.com"}, answers{}},
		{"STORAGE_EMULATOR_HOST", cloud.GCS, map[string]string{"STORAGE_EMULATOR_HOST": "https://key:" + c.g.word("STORAGE_EMULATOR_HOST") + "@storage.googleapis.com"}, answers{}},
	} {
		for _, status := range []int{403, 401} {
			a := tt.a
			a.store, a.code = status, refusals[map[int]int{403: 0, 401: 1}[status]].codes[tt.place]
			c.g.fresh = slices.Clone(envValues(c.g, tt.name, tt.env, a))
			c.try(trial{name: fmt.Sprintf("%s, status %d", tt.name, status), args: history, env: tt.env, want: "E", table: canaryPlaces[tt.place], answers: a})
		}
		if strings.Contains(tt.name, "TOKEN_FILE") || strings.Contains(tt.name, "CLIENT") || strings.Contains(tt.name, "GOOGLE") {
			c.try(trial{name: tt.name + ", no token", args: history, env: tt.env, want: "E", table: canaryPlaces[tt.place], answers: answers{token: 400}})
		}
	}
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

// A broker with logins, that tells what it knows.
func (c *canary) securedBroker(user, password string) (addr string) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "clicks"), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", user, password), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{c.net.certificate}}))
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(cluster.Close)
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		sent := string(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes)
		cluster.KeepControl()
		if strings.HasSuffix(sent, "\x00"+user+"\x00"+password) {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		message := "no such login: " + sent + " " + strings.ReplaceAll(sent, "\x00", " ") + " " + url.QueryEscape(sent)
		resp.ErrorMessage = &message
		return resp, nil, true
	})
	return cluster.ListenAddrs()[0]
}

// services plants in the options of broker and registry.
func (c *canary) services() {
	broker := c.securedBroker("nobody", c.g.text("nobody's password"))
	secured := func(more map[string]any) map[string]any {
		options := c.kafka(map[string]any{"kafka.bootstrap.servers": broker, "kafka.security.protocol": "SASL_SSL", "kafka.sasl.mechanism": "PLAIN"})
		for k, v := range more {
			options[k] = v
		}
		return map[string]any{"kafka": options}
	}
	run := []string{"run", "--once"}
	jaas := func(where string) string {
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
		return `org.apache.kafka.common.security.plain.PlainLoginModule required username="` + c.g.word(where+", user") + `" password="` +
			quote(c.g.text(where+", password")) + `";`
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256"} {
		c.try(trial{name: mechanism, args: run, want: "E2003", file: pipelineFile{"source": secured(map[string]any{"kafka.sasl.mechanism": mechanism,
			"kafka.sasl.username": c.g.word(mechanism + ", user"), "kafka.sasl.password": c.g.text(mechanism + ", password")})}})
		c.try(trial{name: mechanism + ", doctor", args: []string{"doctor"}, want: "E2003", env: map[string]string{"USER_NAME": c.g.word("doctor's user"),
			"PASSWORD": c.g.text("doctor's password")}, file: pipelineFile{"source": secured(map[string]any{"kafka.sasl.mechanism": mechanism,
			"kafka.sasl.username": "${env:USER_NAME}", "kafka.sasl.password": "${env:PASSWORD}"})}})
	}
	for _, command := range [][]string{run, {"topic", "list"}, {"topic", "peek", "clicks"}, {"topic", "describe", "clicks"}} {
		c.try(trial{name: fmt.Sprint(command, ", jaas"), args: command, want: "E2003", file: pipelineFile{"source": secured(map[string]any{
			"kafka.sasl.jaas.config": jaas(fmt.Sprint(command))})}})
	}
	broken := jaas("a broken jaas")
	c.try(trial{name: "a broken jaas", args: run, want: "E1204", file: pipelineFile{"source": secured(map[string]any{"kafka.sasl.jaas.config": broken[:len(broken)-2]})}})
	for _, key := range []string{"kafka.sasl.password", "kafka.sasl.username", "kafka.sasl.jaas.config", "kafka.ssl.truststore.password", "kafka.ssl.key.password",
		"kafka.ssl.keystore.password", "kafka.ssl.keystore.key", "kafka.sasl.oauthbearer.client.credentials.client.secret", "kafka.sasl.pasword"} {
		c.try(trial{name: key, args: run, want: "E1", file: pipelineFile{"source": map[string]any{"kafka": c.kafka(map[string]any{key: []string{c.g.text(key + ", a list")}})}}})
		c.try(trial{name: key, args: run, want: "E1210", file: pipelineFile{"source": map[string]any{"kafka": c.kafka(map[string]any{
			key: c.g.text(key+", unresolved") + "${file:/absent}"})}}})
		c.try(trial{name: key, args: run, want: "E1", env: map[string]string{"A": c.g.text(key + ", of a variable")}, file: pipelineFile{"source": secured(map[string]any{key: "${env:A}"})}})
		c.try(trial{name: key + " of -s", args: append(run, "-s", "source.kafka."+key+"="+c.g.text(key+" of -s")), want: "E1"})
	}
	for _, key := range []string{"basic.auth.user.info", "bearer.auth.token", "schema.registry.ssl.key.password", "schema.registry.ssl.keystore.password",
		"schema.registry.ssl.truststore.password", "sasl.jaas.config", "basic.auth.userinfo"} {
		registry := func(value any) map[string]any {
			return map[string]any{"schema.registry.url": "https://registry.example", key: value}
		}
		c.try(trial{name: key, args: run, want: "E1", file: pipelineFile{"registry": registry([]string{c.g.text(key + ", a list")})}})
		c.try(trial{name: key, args: run, want: "E1210", file: pipelineFile{"registry": registry(c.g.text(key+", unresolved") + ":${env:ABSENT}")}})
		c.try(trial{name: key, args: run, want: "E1", env: map[string]string{"A": c.g.text(key + ", of a variable")}, file: pipelineFile{"registry": registry("${env:A}")}})
	}
	for _, status := range []int{401, 403, 500} {
		for i, where := range []string{"basic.auth.user.info", "schema.registry.url"} {
			for j, command := range [][]string{run, {"doctor"}, {"registry", "subjects"}} {
				if status == 500 && i+j > 0 { // it is asked again, for seconds
					continue
				}
				registry := map[string]any{"schema.registry.url": "https://registry.example", where: "${env:LOGIN}"}
				password := c.g.text(where)
				login := "canary:" + password // the name alone is no secret: it is a word as any other
				if where == "schema.registry.url" {
					login = "https://canary:" + url.QueryEscape(password) + "@registry.example"
				}
				c.try(trial{name: fmt.Sprintf("%v, %s, status %d", command, where, status), args: command, want: "E3", reaches: "registry.example",
					env: map[string]string{"LOGIN": login}, file: pipelineFile{"registry": registry}, answers: answers{registry: status}, once: status == 500})
			}
		}
	}
}

// providers plants in what opens scopes, and in what they give.
func (c *canary) providers() {
	check := []string{"secret", "check"}
	uses := func(reference string) pipelineFile {
		return pipelineFile{"registry": map[string]any{"schema.registry.url": "https://registry.example", "basic.auth.user.info": "key:" + reference}}
	}
	scoped := func(scope map[string]any, reference string) pipelineFile {
		f := uses(reference)
		f["secrets"] = map[string]any{"scopes": map[string]any{"s": scope}}
		return f
	}
	vault := func(token string) map[string]any {
		return map[string]any{"vault": "https://vault.example", "token": token}
	}
	keyVault := map[string]any{"keyvault": "https://canary.vault.azure.net"}
	for _, command := range [][]string{check, {"run", "--once"}, {"doctor"}} {
		for _, reference := range []string{"${secret:s/key}", "{{secrets/s/key}}"} {
			for _, status := range []int{403, 404, 400} {
				c.try(trial{name: fmt.Sprint(command, "Vault ", status), args: command, want: "E1210", reaches: "vault.example",
					file: scoped(vault(c.g.word("a token of Vault")), reference), answers: answers{vault: status}})
				c.try(trial{name: fmt.Sprint(command, "Key Vault ", status), args: command, want: "E1210", reaches: "canary.vault.azure.net",
					file: scoped(keyVault, reference), answers: answers{keyVault: status, accessToken: c.g.word("a token of Key Vault")}})
			}
		}
	}
	c.try(trial{name: "Key Vault, no token", args: check, want: "E1210", file: scoped(keyVault, "${secret:s/key}"), answers: answers{token: 401}})
	for _, reference := range []string{"${secret:s/key}", "{{secrets/s/key}}"} {
		c.try(trial{name: "Vault", args: check, reaches: "vault.example", file: scoped(vault("${env:TOKEN}"), reference), env: map[string]string{"TOKEN": c.g.word("a token of a variable")},
			answers: answers{secret: c.g.text("a secret of Vault")}})
		c.try(trial{name: "Key Vault", args: check, reaches: "canary.vault.azure.net", file: scoped(keyVault, reference),
			answers: answers{secret: c.g.text("a secret of Key Vault"), accessToken: c.g.word("a token of Key Vault")}})
		for _, status := range []int{401, 403} {
			value := c.g.text("a secret of Vault") // which the registry is sent, other than what opened the vault
			c.try(trial{name: "Vault's secret is refused", args: []string{"run", "--once"}, want: "E3", file: scoped(vault(c.g.word("a token")), reference),
				answers: answers{secret: value, registry: status}, knows: []string{value}})
			value = c.g.text("a secret of Key Vault")
			c.try(trial{name: "Key Vault's secret is refused", args: []string{"registry", "subjects"}, want: "E3", file: scoped(keyVault, reference),
				answers: answers{secret: value, accessToken: c.g.word("a token of Key Vault"), registry: status}, knows: []string{value}})
		}
	}
	c.try(trial{name: "a token of VAULT_TOKEN", args: check, want: "E1210", env: map[string]string{"VAULT_TOKEN": c.g.word("VAULT_TOKEN")},
		file: scoped(map[string]any{"vault": "https://vault.example"}, "${secret:s/key}"), answers: answers{vault: 403}})
	c.try(trial{name: "a token file", args: check, want: "E1210", file: scoped(map[string]any{"vault": "https://vault.example",
		"tokenFile": writeFile(c.T, filepath.Join(c.dir, "vault-token"), c.g.word("tokenFile"))}, "${secret:s/key}"), answers: answers{vault: 403}})
	for _, scope := range []map[string]any{
		{"vault": "https://user:" + c.g.word("an address of Vault") + "@vault.example"}, {"keyvault": "https://user:" + c.g.word("an address of Key Vault") + "@canary.vault.azure.net"},
		{"vault": "https://vault.example", "token": []string{c.g.word("a list of tokens")}}, {"vault": "https://vault.example", "tokn": c.g.word("a misspelt token")},
		{"vault": "https://vault.example?token=" + c.g.word("a query of Vault")}, {"keyvault": "ftp://user:" + c.g.word("another scheme") + "@host"},
		{"vault": "https://vault.example", "token": c.g.word("an unresolved token") + "${env:ABSENT}"},
	} {
		c.try(trial{name: "a wrong scope", args: check, want: "E1", file: scoped(scope, "${secret:s/key}")})
		c.try(trial{name: "a wrong scope is listed", args: []string{"secret", "list"}, want: "E1", file: scoped(scope, "${secret:s/key}")})
	}
	c.localStore(check, uses)
}

// localStore plants in the local store, in what opens it, and on its way there.
func (c *canary) localStore(check []string, uses func(string) pipelineFile) {
	dir := filepath.Join(c.dir, "user")
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.Fatal(err)
	}
	passphrase := c.g.text("SILT_SECRETS_PASSPHRASE")
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		c.Fatal(err)
	}
	recipient.SetWorkFactor(10) // age's own takes a second
	var file bytes.Buffer
	w, err := age.Encrypt(&file, recipient)
	if err != nil {
		c.Fatal(err)
	}
	text, _ := json.Marshal(map[string]any{"version": 1, "scopes": map[string]any{"local": map[string]string{"key": c.g.text("the local store")}}})
	if _, err := w.Write(text); err != nil || w.Close() != nil {
		c.Fatal(err)
	}
	writeFile(c.T, filepath.Join(dir, "secrets.age"), file.String())
	env := map[string]string{"SILT_USER_CONFIG": filepath.Join(dir, "config.yaml"), "SILT_SECRETS_PASSPHRASE": passphrase}
	c.try(trial{name: "the local store", args: check, env: env, file: uses("${secret:local/key}")})
	c.try(trial{name: "the local store is listed", args: []string{"secret", "list"}, env: env, file: uses("")})
	c.try(trial{name: "no such key", args: check, want: "E1210", env: env, file: uses("${secret:local/absent}")})
	c.try(trial{name: "its secret is refused", args: []string{"run", "--once"}, want: "E3002", env: env, file: uses("${secret:local/key}"), answers: answers{registry: 401}})
	wrong := map[string]string{"SILT_USER_CONFIG": env["SILT_USER_CONFIG"], "SILT_SECRETS_PASSPHRASE": c.g.text("a wrong passphrase")}
	c.try(trial{name: "a wrong passphrase", args: check, want: "E1210", env: wrong, file: uses("${secret:local/key}")})
	c.folder("the local store", dir)

	identity, err := age.GenerateX25519Identity()
	if err != nil {
		c.Fatal(err)
	}
	dir = filepath.Join(c.dir, "key")
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.Fatal(err)
	}
	c.g.add("SILT_SECRETS_KEY_FILE", identity.String())
	env = map[string]string{"SILT_USER_CONFIG": filepath.Join(dir, "config.yaml"), "SILT_DEBUG": "1",
		"SILT_SECRETS_KEY_FILE": writeFile(c.T, filepath.Join(c.dir, "age.key"), identity.String()+"\n")}
	for i, args := range [][]string{{"secret", "set", "local/key"}, {"secret", "set", "local/key", c.g.text("a value on the command line")}, {"secret", "delete", "local/absent"},
		{"secret", "list"}, {"secret", "delete", "local/key", "--yes=local/key"}} {
		f := newFakeProcess(newEngine())
		f.env = env
		f.stdin = strings.NewReader(c.g.text("a value of standard input") + "\n")
		if status := f.main(append(args, "-vv")...); (status == 0) != (i%2 == 0 && i != 2 || i == 3) {
			c.Errorf("%v: status %d\n%s", args[:2], status, f.stderr.String())
		}
		c.runs++
		c.outputs++
		c.search(strings.Join(args[:2], " "), []byte(f.stdout.String()+f.stderr.String()))
		c.folder(args[1], dir)
	}
}

// panics lets a query panic with secrets in its hands, and fail in all other ways that leaks knows.
func (c *canary) panics() {
	for name := range leaks([]string{""}) {
		env := map[string]string{"A": c.g.text("a secret that leaks by " + name), "B": c.g.key("another that leaks by " + name)}
		values := []string{env["A"], env["B"]}
		want := map[bool]string{true: "", false: "E"}[name == "log" || name == "progress" || name == "trace"]
		c.try(trial{name: name, args: []string{"run", "--once"}, want: want, env: env,
			engine: func([]string) engine { return engine{run: leaks(values)[name]} }, file: pipelineFile{"registry": map[string]any{
				"schema.registry.url": "https://registry.example", "basic.auth.user.info": "${env:A}:${env:B}"}}})
	}
}

// query lets a query succeed whose secrets come from every provider, and meet a bad record; then everything looks at what it wrote.
func (c *canary) query() {
	user, password := c.g.word("the broker's user"), c.g.text("the broker's password")
	info, scoped := c.g.text("the registry's password"), c.g.word("the registry's user")
	token, access := c.g.word("the vault's token"), c.g.word("the key vault's access token")
	dir := filepath.Join(c.dir, "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.Fatal(err)
	}
	writeFile(c.T, filepath.Join(dir, "password"), password)
	broker := c.securedBroker(user, password)
	file := pipelineFile{
		"secrets": map[string]any{"scopes": map[string]any{"vault": map[string]any{"vault": "https://vault.example", "token": "${env:TOKEN}"},
			"azure": map[string]any{"keyvault": "https://canary.vault.azure.net"}, "files": map[string]any{"dir": dir}, "env": map[string]any{"env": "CANARY_"}}},
		"source": map[string]any{"kafka": c.kafka(map[string]any{"kafka.bootstrap.servers": broker, "kafka.security.protocol": "SASL_SSL",
			"kafka.sasl.mechanism": "PLAIN", "kafka.sasl.username": "${env:USER_NAME}", "kafka.sasl.password": "${dir:" + dir + ":password}"})},
		"registry": map[string]any{"schema.registry.url": "https://registry.example", "basic.auth.user.info": "${env:REGISTRY_USER}:{{secrets/vault/registry}}"},
	}
	env := map[string]string{"USER_NAME": user, "TOKEN": token, "REGISTRY_USER": scoped}
	a := answers{secret: info, accessToken: access}
	produce := func(values ...string) {
		client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic("clicks"), kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()),
			kgo.DialTLSConfig(&tls.Config{ServerName: "127.0.0.1"}))
		if err != nil {
			c.Fatal(err)
		}
		defer client.Close()
		for _, v := range values {
			if err := client.ProduceSync(context.Background(), kgo.StringRecord(v)).FirstErr(); err != nil {
				c.Fatal(err)
			}
		}
	}
	good := []string{"\x00\x00\x00\x00\x01\x02", "\x00\x00\x00\x00\x01\x04"}
	produce(good...)
	for _, tt := range []struct{ args, want, shows string }{
		{"run --once", "", "batch 0   2 rows"}, {"table verify", "", "missing 0"}, {"table history", "", "STREAMING UPDATE"}, {"topic peek clicks", "", ""},
		{"topic describe clicks", "", ""}, {"secret check", "", ""}, {"secret list", "", "vault"}, {"doctor", "", ""}, {"registry subjects", "", "clicks-value"},
	} {
		// Nobody echoes here: what these commands show is what they read.
		out := c.try(trial{name: tt.args, args: strings.Fields(tt.args), file: file, env: env, answers: a, want: tt.want})
		if !strings.Contains(out, tt.shows) {
			c.Errorf("%s does not show %q:\n%s", tt.args, tt.shows, out)
		}
	}
	produce("\x00\x00\x00\x00\x09\x02") // of a schema that is not there, of which the registry has much to tell
	c.g.fresh = []string{user, password, info, scoped, token, access}
	c.try(trial{name: "a bad record", args: []string{"run", "--once"}, file: file, env: env, answers: a, want: "E4002"})
	if c.files < 10 {
		c.Errorf("%d files searched: the query wrote none", c.files)
	}
}
