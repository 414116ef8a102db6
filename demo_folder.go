package silt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/siltlake/silt/internal/broker"
	"github.com/siltlake/silt/internal/datagen"
	"github.com/siltlake/silt/internal/problem"
)

// What a demo's folder holds. Files that hold a key pair are for the owner alone.
const (
	demoState       = "demo.json" // ports and key pairs of the HTTP services; it also says that a demo made the folder
	demoBrokerDir   = "broker"    // the broker's own: log, certificates, key pair
	demoSecretsDir  = "secrets"   // a file for each value, which the pipeline refers to
	demoPipeline    = "pipeline.yaml"
	demoConnector   = "connector.json"
	demoOffsets     = "connector-offsets.json" // where each task of the connector is
	demoClient      = "client.properties"
	demoLibrdkafka  = "librdkafka.properties"
	demoRegistry    = "registry.properties"
	demoConnect     = "connect.properties" // where the connector's REST interface is
	demoCA          = "ca.pem"
	demoCheckpoints = "_checkpoints"
)

// demoFiles are what --clean removes beside the table, whose name the pipeline decided.
var demoFiles = []string{
	demoPipeline, demoConnector, demoOffsets, demoClient, demoLibrdkafka, demoRegistry, demoConnect, demoCA, demoSecretsDir, demoCheckpoints,
	demoBrokerDir, demoState,
}

// A demoFolder is the folder of a demo. It is one process's once the broker in it runs.
type demoFolder struct {
	dir     string // absolute
	resumed bool
	state   demoKept
	broker  string // host:port
}

// demoKept is demo.json.
type demoKept struct {
	RegistryPort   int    `json:"registryPort"`
	RegistryKey    string `json:"registryKey"`
	RegistrySecret string `json:"registrySecret"`
	ConnectPort    int    `json:"connectPort"`
	ConnectKey     string `json:"connectKey"`
	ConnectSecret  string `json:"connectSecret"`
	Table          string `json:"table"` // the folder of the table, beside the others
}

// openDemoFolder makes the folder, or finds it. A folder that holds something and was not made by a demo is refused.
func openDemoFolder(dir string) (*demoFolder, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, problem.New(problem.PathNotWritable, "the demo's folder: %w", err).At(problem.File(dir))
	}
	f := &demoFolder{dir: abs}
	if strings.ContainsAny(abs, "\"'\\\n\r${}#") {
		return nil, problem.New(problem.Usage, "the demo's folder has a character in its path that would need quotes in the files for clients").
			At(problem.File(abs)).Fix("choose another one: --dir FOLDER")
	}
	switch kept, err := readDemoState(abs); {
	case err != nil:
		return nil, err
	case kept != nil:
		f.state, f.resumed = *kept, true
		if f.state.ConnectKey == "" { // the folder is of a silt that did not serve the connector
			f.state.ConnectKey, f.state.ConnectSecret = newKeyPair()
		}
		return f, nil
	}
	entries, err := os.ReadDir(abs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.PathNotWritable, "the demo's folder cannot be read: %w", err).At(problem.File(dir))
	}
	for _, e := range entries {
		if e.Name() != demoBrokerDir && e.Name() != demoState+".tmp" { // of a start that was killed right after it had begun
			return nil, problem.New(problem.PathNotWritable, "the folder is not empty, and no demo made it").At(problem.File(dir)).
				Fix("choose another one: --dir FOLDER")
		}
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, problem.New(problem.PathNotWritable, "the demo's folder cannot be made: %w", err).At(problem.File(dir))
	}
	f.state.RegistryKey, f.state.RegistrySecret = newKeyPair()
	f.state.ConnectKey, f.state.ConnectSecret = newKeyPair()
	return f, nil
}

// readDemoState returns nil if there is none.
func readDemoState(dir string) (*demoKept, error) {
	name := filepath.Join(dir, demoState)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var k demoKept
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err == nil && (k.RegistryPort <= 0 || k.RegistryKey == "" || k.RegistrySecret == "") {
		err = errors.New("it lacks the registry's port or key pair")
	}
	if err != nil {
		return nil, problem.New(problem.CorruptState, "what the demo kept cannot be read: %w", err).At(problem.File(name)).
			Fix("restore the file, or begin anew in another folder: --dir FOLDER")
	}
	return &k, nil
}

func (f *demoFolder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *demoFolder) registryURL() string {
	return fmt.Sprintf("http://127.0.0.1:%d", f.state.RegistryPort)
}

// write replaces a file for the owner alone, so that whoever reads it, and a start after a kill, finds the old or the new one whole.
func (f *demoFolder) write(name string, text []byte) error {
	path := f.path(name)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path+".tmp", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		return problem.New(problem.PathNotWritable, "a file of the demo cannot be written: %w", err).At(problem.File(path))
	}
	return nil
}

// writeNew writes a file that is not there: one that is may have been edited.
func (f *demoFolder) writeNew(name string, text []byte) error {
	if _, err := os.Stat(f.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return f.write(name, text)
}

// complete writes the state and what other clients log in with. These files say what is so, at every start anew; nobody edits them.
func (f *demoFolder) complete(b *broker.Broker, registryPort, connectPort int) error {
	f.broker, f.state.RegistryPort, f.state.ConnectPort = b.Addr(), registryPort, connectPort
	ca, err := os.ReadFile(b.CA())
	if err != nil {
		return problem.New(problem.CorruptState, "the broker's certificate authority cannot be read: %w", err).At(problem.File(b.CA()))
	}
	key := b.APIKey()
	user, password := key.User, key.Password.Reveal()
	files := map[string]string{
		demoCA:                                  string(ca),
		demoSecretsDir + "/api-key":             user,
		demoSecretsDir + "/api-secret":          password,
		demoSecretsDir + "/registry-api-key":    f.state.RegistryKey,
		demoSecretsDir + "/registry-api-secret": f.state.RegistrySecret,
		demoClient: textOf(
			"bootstrap.servers="+f.broker, "security.protocol=SASL_SSL", "sasl.mechanism=PLAIN",
			fmt.Sprintf(`sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="%s" password="%s";`, user, password),
			"ssl.truststore.type=PEM", "ssl.truststore.location="+f.path(demoCA)),
		demoLibrdkafka: textOf(
			"bootstrap.servers="+f.broker, "security.protocol=SASL_SSL", "sasl.mechanisms=PLAIN", "sasl.username="+user, "sasl.password="+password,
			"ssl.ca.location="+f.path(demoCA)),
		demoRegistry: textOf(
			"schema.registry.url="+f.registryURL(), "basic.auth.credentials.source=USER_INFO",
			"basic.auth.user.info="+f.state.RegistryKey+":"+f.state.RegistrySecret),
		demoConnect: restFile(fmt.Sprintf("127.0.0.1:%d", f.state.ConnectPort), f.state.ConnectKey, f.state.ConnectSecret),
	}
	// First what says that the folder is a demo's: a start after a kill goes on with what is there.
	if err := f.keep(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := f.write(name, []byte(files[name])); err != nil {
			return err
		}
	}
	return nil
}

// keep writes demo.json.
func (f *demoFolder) keep() error {
	b, err := json.MarshalIndent(f.state, "", "  ")
	if err != nil {
		return err
	}
	return f.write(demoState, append(b, '\n'))
}

func textOf(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

// connector reads a connector's JSON: file's, or the folder's own, which is the tutorial's and is written first if it is not there.
func (f *demoFolder) connector(file string) (datagen.Config, error) {
	if file == "" {
		file = f.path(demoConnector)
		text := `{
  "name": "clickstreams",
  "config": {
    "connector.class": "io.confluent.kafka.connect.datagen.DatagenConnector",
    "kafka.topic": "clickstreams",
    "quickstart": "CLICKSTREAM",
    "max.interval": "500",
    "tasks.max": "1",
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "io.confluent.connect.avro.AvroConverter",
    "value.converter.schema.registry.url": "` + f.registryURL() + `"
  }
}
`
		if err := f.writeNew(demoConnector, []byte(text)); err != nil {
			return datagen.Config{}, err
		}
	}
	return readConnector(file)
}

func readConnector(file string) (datagen.Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return datagen.Config{}, problem.New(problem.FileUnreadable, "the connector's file cannot be read: %w", err).At(problem.File(file))
	}
	return datagen.ParseConfig(file, text, nil)
}

// writePipeline writes the pipeline file of the connector's topic, unless there is one.
func (f *demoFolder) writePipeline(c datagen.Config) error {
	if f.state.Table == "" {
		f.state.Table = c.Topic
		if c.Topic == "clickstreams" { // the tutorial's
			f.state.Table = "clicks"
		}
		if slices.Contains(demoFiles, f.state.Table) {
			f.state.Table += "-table"
		}
		if err := f.keep(); err != nil {
			return err
		}
	}
	value, columns, registry := "avro", []string{"topic", "partition", "offset", "timestamp", "timestampType", "key", "valueSchemaId", "parsedValue"},
		textOf("registry:",
			"  schema.registry.url: "+f.registryURL(),
			"  basic.auth.credentials.source: USER_INFO",
			"  basic.auth.user.info: ${file:"+f.path(demoSecretsDir+"/registry-api-key")+"}:${file:"+f.path(demoSecretsDir+"/registry-api-secret")+"}",
			"")
	if c.Output != datagen.Avro {
		value, columns, registry = "binary", []string{"topic", "partition", "offset", "timestamp", "timestampType", "key", "value"}, ""
	}
	text := textOf(
		"# What silt demo runs; change it and start the demo again. While the demo runs, other commands find its broker and registry here:",
		"#   silt topic peek "+c.Topic+" -c pipeline.yaml",
		"name: demo",
		"",
		"source:",
		"  kafka:",
		"    kafka.bootstrap.servers: "+f.broker,
		"    kafka.security.protocol: SASL_SSL",
		"    kafka.sasl.mechanism: PLAIN",
		"    kafka.sasl.username: ${file:"+f.path(demoSecretsDir+"/api-key")+"}",
		"    kafka.sasl.password: ${file:"+f.path(demoSecretsDir+"/api-secret")+"}",
		"    kafka.ssl.truststore.type: PEM",
		"    kafka.ssl.truststore.location: "+f.path(demoCA),
		"    subscribe: "+c.Topic,
		"    startingOffsets: earliest",
		"    failOnDataLoss: false # a demo that rested for longer than its topic keeps records goes on",
		"") + registry + textOf(
		"decode:",
		"  key: string",
		"  value: "+value,
		"  mode: FAILFAST",
		"",
		"select:") + "  - " + strings.Join(columns, "\n  - ") + "\n" + textOf("",
		"sink:",
		"  delta:",
		"    path: "+f.path(f.state.Table),
		"    mergeSchema: true",
		"",
		"checkpointLocation: "+f.path(demoCheckpoints+"/"+f.state.Table))
	return f.writeNew(demoPipeline, []byte(text))
}

// offsets are those of the connector's tasks.
func (f *demoFolder) offsets() (datagen.Offsets, error) {
	name := f.path(demoOffsets)
	o, err := datagen.OpenOffsets(name)
	if err != nil {
		return nil, problem.New(problem.CorruptState, "the connector's offsets cannot be read: %w", err).At(problem.File(name)).
			Fix("remove the file: the connector then begins its sequence anew")
	}
	return o, nil
}

// DemoMade lists the paths in a folder that a demo made, and that are there; the folder itself is the last one if it holds nothing else. It
// is an error if no demo made the folder, or if one runs in it.
func DemoMade(dir string) ([]string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, problem.New(problem.Usage, "the demo's folder: %w", err).At(problem.File(dir))
	}
	kept, err := readDemoState(abs)
	if err != nil {
		return nil, err
	}
	if kept == nil {
		return nil, problem.New(problem.Usage, "no demo made this folder").At(problem.File(dir)).Fix("name the folder of a demo: --dir FOLDER")
	}
	running, err := broker.Running(filepath.Join(abs, demoBrokerDir))
	if err != nil {
		return nil, err
	}
	if running {
		return nil, problem.New(problem.FolderInUse, "a demo runs in this folder").At(problem.File(dir)).Fix("stop it: Ctrl-C where it runs")
	}
	names := slices.Clone(demoFiles)
	if kept.Table != "" && filepath.IsLocal(kept.Table) {
		names = append([]string{kept.Table}, names...)
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return nil, problem.New(problem.PathNotWritable, "the demo's folder cannot be read: %w", err).At(problem.File(dir))
	}
	var made []string
	for _, e := range entries {
		if slices.Contains(names, strings.TrimSuffix(e.Name(), ".tmp")) {
			made = append(made, filepath.Join(dir, e.Name()))
		}
	}
	// demo.json goes last: what an interrupted removal leaves is still a demo's.
	state := filepath.Join(dir, demoState)
	made = append(slices.DeleteFunc(made, func(path string) bool { return path == state }), state)
	if len(made) == len(entries) {
		made = append(made, dir)
	}
	return made, nil
}
