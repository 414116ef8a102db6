package main

import (
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

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
