package parts

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tools returns a class path with Apache Kafka's command line tools, of which a broker needs none.
func Tools() (string, error) {
	const part = "Apache Kafka's tools"
	jars, err := Jars()
	if err != nil {
		return "", err
	}
	dir, err := install{part: part, name: "kafka-tools", pin: toolsPom, fill: func(dir string, log *os.File) error {
		mvn, err := exec.LookPath("mvn")
		if err != nil {
			return &Missing{part, "its jars are not in the cache and there is no mvn (Debian: apt-get install maven)"}
		}
		file := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(file, toolsPom, 0o644); err != nil {
			return err
		}
		return runLogged(log, dir, mvn, "-B", "-q", "-f", file, "dependency:copy-dependencies", "-DoutputDirectory="+dir)
	}}.get()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "*") + string(os.PathListSeparator) + filepath.Join(jars, "*"), nil
}

//go:embed tools.xml
var toolsPom []byte

// kcatPackages are kcat and the libraries that a Debian without it may lack.
const kcatPackages = "kcat librdkafka1 libyajl2 liblz4-1 libzstd1 libsasl2-2"

// Kcat returns a command that runs kcat: the one on PATH, else Debian's, unpacked into the cache without being installed.
func Kcat() (func(args ...string) *exec.Cmd, error) {
	const part = "kcat"
	for _, name := range []string{"kcat", "kafkacat"} {
		if path, err := exec.LookPath(name); err == nil {
			return func(args ...string) *exec.Cmd { return exec.Command(path, args...) }, nil
		}
	}
	dir, err := install{part: part, name: "kcat", pin: []byte(kcatPackages), fill: func(dir string, log *os.File) error {
		for _, tool := range []string{"apt-get", "dpkg"} {
			if _, err := exec.LookPath(tool); err != nil {
				return &Missing{part, "it is not on PATH, and there is no " + tool + " to fetch Debian's"}
			}
		}
		if err := runLogged(log, dir, "apt-get", append([]string{"download"}, strings.Fields(kcatPackages)...)...); err != nil {
			return err
		}
		packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil {
			return err
		}
		for _, p := range packages {
			if err := runLogged(log, dir, "dpkg", "-x", p, dir); err != nil {
				return err
			}
		}
		return nil
	}}.get()
	if err != nil {
		return nil, err
	}
	libraries, err := filepath.Glob(filepath.Join(dir, "usr", "lib", "*-linux-*"))
	if err != nil || len(libraries) == 0 {
		return nil, &Missing{part, fmt.Sprintf("no libraries in %s", dir)}
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(dir, "usr", "bin", "kcat"), args...)
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
		return cmd
	}, nil
}

// kafkajs is exact, and depends on nothing.
const kafkajs = "kafkajs@2.2.4"

// KafkaJS returns the node and a NODE_PATH with kafkajs.
func KafkaJS() (node, path string, err error) { return javascript("kafkajs", "kafkajs", kafkajs) }

// registryJS are Schema Registry's two JavaScript clients; what they depend on is taken as it was on that day.
const registryJS = "--before=2026-11-20 @kafkajs/confluent-schema-registry@3.9.0 @confluentinc/schemaregistry@1.10.1"

// RegistryJS returns the node and a NODE_PATH with Schema Registry's clients, and kafkajs.
func RegistryJS() (node, path string, err error) {
	return javascript("the JavaScript clients of Schema Registry", "registryjs", kafkajs+" "+registryJS)
}

// javascript installs packages by npm; args is its command line.
func javascript(part, name, args string) (node, path string, err error) {
	if node, err = exec.LookPath("node"); err != nil {
		return "", "", &Missing{part, "there is no node (Debian: apt-get install nodejs npm)"}
	}
	dir, err := install{part: part, name: name, pin: []byte(args), fill: func(dir string, log *os.File) error {
		npm, err := exec.LookPath("npm")
		if err != nil {
			return &Missing{part, "it is not in the cache and there is no npm (Debian: apt-get install npm)"}
		}
		return runLogged(log, dir, npm, append([]string{"install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund",
			"--no-package-lock"}, strings.Fields(args)...)...)
	}}.get()
	if err != nil {
		return "", "", err
	}
	return node, filepath.Join(dir, "node_modules"), nil
}
