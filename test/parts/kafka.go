package parts

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// KafkaOptions says how a broker runs; the zero value works.
type KafkaOptions struct {
	Heap string   // of the JVM; "512m" if empty
	Wrap []string // a command that runs java, such as taskset -c 0
	// Properties are added to server.properties.
	Properties map[string]string
	// Outlive lets the broker run on after the process that started it; otherwise it is killed with it.
	Outlive bool
}

// Kafka is one Apache Kafka broker with its controller, on loopback, with a listener without login and one over SASL_SSL with PLAIN.
// Its methods are not safe for concurrent use.
type Kafka struct {
	Dir            string
	Plain          string // address of the listener without TLS and login
	TLS            string // address of the listener over SASL_SSL; its host is the certificate's name
	CA             string // PEM file of the authority that signed the broker's certificate
	User, Password string // of the SASL_SSL listener

	opts KafkaOptions
	jars string
	proc *process
}

// kafkaState is what a later start in the same directory takes over.
type kafkaState struct {
	PlainPort, TLSPort, ControllerPort int
	User, Password                     string
}

const (
	startTimeout = 90 * time.Second // a loaded machine with two cores needs 10 s
	stopTimeout  = 30 * time.Second
)

// StartKafka starts a broker in dir and returns when it serves. The first start in a directory chooses free ports, makes certificates and
// formats the storage; a later one takes everything over, the topics included.
func StartKafka(dir string, opts KafkaOptions) (*Kafka, error) {
	jars, err := Jars()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if pid := readPID(dir); alive(pid) {
		return nil, fmt.Errorf("a broker runs in %s already, as process %d", dir, pid)
	}
	state, err := prepareKafka(dir, jars, opts)
	if err != nil {
		return nil, err
	}
	k := newKafka(dir, state)
	k.opts, k.jars = opts, jars
	return k, k.start()
}

// FindKafka returns the running broker of dir, which another process started.
func FindKafka(dir string) (*Kafka, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	var state kafkaState
	if err := readJSON(filepath.Join(dir, "state.json"), &state); err != nil {
		return nil, fmt.Errorf("no broker was started in %s: %w", dir, err)
	}
	k := newKafka(dir, state)
	k.proc = &process{pid: readPID(dir)}
	if !alive(k.proc.pid) {
		return nil, fmt.Errorf("no broker runs in %s", dir)
	}
	return k, nil
}

func newKafka(dir string, s kafkaState) *Kafka {
	return &Kafka{
		Dir: dir, CA: filepath.Join(dir, "ca.pem"), User: s.User, Password: s.Password,
		Plain: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.PlainPort)), TLS: net.JoinHostPort("localhost", strconv.Itoa(s.TLSPort)),
	}
}

// prepareKafka makes what a broker needs in dir, where it is not there yet.
func prepareKafka(dir, jars string, opts KafkaOptions) (kafkaState, error) {
	var state kafkaState
	file := filepath.Join(dir, "state.json")
	err := readJSON(file, &state)
	known := err == nil
	if !known {
		if !errors.Is(err, fs.ErrNotExist) {
			return state, err
		}
		if state, err = newKafkaState(dir); err != nil {
			return state, err
		}
	}
	properties := kafkaProperties(dir, state, opts.Properties)
	config := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(config, []byte(properties), 0o600); err != nil {
		return state, err
	}
	if known {
		return state, nil
	}
	log, err := os.Create(filepath.Join(dir, "format.log"))
	if err != nil {
		return state, err
	}
	defer log.Close()
	err = runLogged(log, dir, "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(jars, "*"),
		"kafka.tools.StorageTool", "format", "-t", clusterID(), "-c", config)
	if err != nil {
		return state, fmt.Errorf("format the storage: %w%s", err, lastLines(log.Name(), 5))
	}
	// Last, so that a start that was cut short begins anew.
	b, err := json.Marshal(state)
	if err != nil {
		return state, err
	}
	return state, os.WriteFile(file, b, 0o600)
}

func newKafkaState(dir string) (kafkaState, error) {
	if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
		return kafkaState{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return kafkaState{}, err
	}
	if err := WriteTLS(dir); err != nil {
		return kafkaState{}, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return kafkaState{}, err
	}
	return kafkaState{ports[0], ports[1], ports[2], "APIKEY" + rand.Text()[:10], rand.Text()}, nil
}

// clusterID is Kafka's form of a random UUID; the tool refuses one that looks like an option.
func clusterID() string {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// kafkaProperties is the server.properties of a single node. The internal topics get few partitions and one replica: with the defaults for
// clusters, transactions and groups never become available on one node.
func kafkaProperties(dir string, s kafkaState, more map[string]string) string {
	controller := fmt.Sprintf("127.0.0.1:%d", s.ControllerPort)
	lines := []string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + controller,
		"controller.listener.names=CONTROLLER",
		fmt.Sprintf("listeners=CONTROLLER://%s,PLAIN://127.0.0.1:%d,TLS://127.0.0.1:%d", controller, s.PlainPort, s.TLSPort),
		fmt.Sprintf("advertised.listeners=PLAIN://127.0.0.1:%d,TLS://localhost:%d", s.PlainPort, s.TLSPort),
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAIN:PLAINTEXT,TLS:SASL_SSL",
		"inter.broker.listener.name=PLAIN",
		"sasl.enabled.mechanisms=PLAIN",
		fmt.Sprintf(`listener.name.tls.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";`,
			s.User, s.Password),
		"ssl.keystore.type=PEM",
		"ssl.keystore.location=" + filepath.Join(dir, "server.pem"),
		"ssl.truststore.type=PEM",
		"ssl.truststore.location=" + filepath.Join(dir, "ca.pem"),
		"listener.name.tls.ssl.client.auth=none",
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=4",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"share.coordinator.state.topic.num.partitions=2",
		"group.initial.rebalance.delay.ms=0",
		"auto.create.topics.enable=false",
		// nothing disappears while a test runs, unless a topic of its own says so
		"log.retention.hours=-1",
		"log.dirs=" + filepath.Join(dir, "data"),
	}
	var added []string
	for key, value := range more {
		added = append(added, key+"="+value)
	}
	slices.Sort(added)
	return strings.Join(append(lines, added...), "\n") + "\n"
}

// start starts the JVM and waits until both listeners serve.
func (k *Kafka) start() error {
	heap := k.opts.Heap
	if heap == "" {
		heap = "512m"
	}
	log, err := os.OpenFile(filepath.Join(k.Dir, "broker.log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	args := append(slices.Clone(k.opts.Wrap), "java", "-Xms128m", "-Xmx"+heap, "-XX:+UseSerialGC",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		// the one line that says that the broker serves
		"-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
		"-cp", filepath.Join(k.jars, "*"), "kafka.Kafka", filepath.Join(k.Dir, "server.properties"))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = procAttr(k.opts.Outlive)
	if k.proc, err = startProcess(cmd); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(k.Dir, "pid"), []byte(strconv.Itoa(k.proc.pid)), 0o644); err != nil {
		return errors.Join(err, k.Kill())
	}
	if err := k.waitReady(log, from); err != nil {
		return errors.Join(err, k.Kill())
	}
	return nil
}

func (k *Kafka) waitReady(log *os.File, from int64) error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		if !k.proc.running() {
			return fmt.Errorf("the broker ended while it started%s", lastLines(log.Name(), 8))
		}
		tail, err := io.ReadAll(io.NewSectionReader(log, from, 1<<20))
		if err != nil {
			return err
		}
		if bytes.Contains(tail, []byte("Kafka Server started")) && answers(k.Plain) && answers(k.TLS) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the broker does not serve after %v%s", startTimeout, lastLines(log.Name(), 8))
}

func answers(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// PID is the broker's process id.
func (k *Kafka) PID() int { return k.proc.pid }

// Stop ends the broker in good order; its data stay.
func (k *Kafka) Stop() error {
	err := k.proc.stop(stopTimeout)
	return errors.Join(err, removeIfThere(filepath.Join(k.Dir, "pid")))
}

// Kill ends the broker as a crash would (SIGKILL).
func (k *Kafka) Kill() error {
	err := k.proc.kill()
	return errors.Join(err, removeIfThere(filepath.Join(k.Dir, "pid")))
}

// Start starts a broker that was stopped or killed again, at the same addresses and with its data.
func (k *Kafka) Start() error { return k.start() }

func readPID(dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

func readJSON(file string, v any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
