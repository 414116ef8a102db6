package parts

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

const (
	apicurioPart = "Apicurio Registry"
	// apicurioArtifact is what Maven Central has of it: a Quarkus application without a Java.
	apicurioArtifact = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
	// apicurioJava is what its classes need at least; Apache Kafka is content with less.
	apicurioJava = 21
)

// Apicurio is an Apicurio Registry with its storage in memory, on loopback and without a login.
type Apicurio struct {
	URL string // of its API for clients of Confluent's registry

	proc *process
}

// StartApicurio starts one with its log in dir and returns when it answers. Its Java is that of the home $SILT_JAVA21, else the one on PATH;
// one that is too old is a Missing.
func StartApicurio(dir string) (*Apicurio, error) {
	java, err := findJava21()
	if err != nil {
		return nil, err
	}
	app, err := apicurioApp()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "apicurio.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(java, "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dquarkus.http.host=127.0.0.1", "-Dquarkus.http.port="+strconv.Itoa(ports[0]),
		// without these two the management port is 9000, on all interfaces
		"-Dquarkus.management.host=127.0.0.1", "-Dquarkus.management.port="+strconv.Itoa(ports[1]),
		// Confluent's default; Apicurio's is NONE
		"-Dapicurio.rules.global.compatibility=BACKWARD",
		"-jar", "quarkus-run.jar")
	cmd.Dir = app
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = procAttr(false)
	proc, err := startProcess(cmd)
	if err != nil {
		return nil, err
	}
	a := &Apicurio{URL: fmt.Sprintf("http://127.0.0.1:%d/apis/ccompat/v7", ports[0]), proc: proc}
	if err := a.waitReady(); err != nil {
		err = fmt.Errorf("%w%s", err, lastLines(log.Name(), 8))
		if killed := proc.kill(); killed != nil {
			return nil, fmt.Errorf("%w; %w", err, killed)
		}
		return nil, err
	}
	return a, nil
}

func findJava21() (string, error) {
	if home := os.Getenv("SILT_JAVA21"); home != "" {
		path := filepath.Join(home, "bin", "java")
		return path, checkJavaVersion(apicurioPart, path, apicurioJava)
	}
	path, err := exec.LookPath("java")
	if err != nil {
		return "", &Missing{apicurioPart, "there is no java on PATH, and SILT_JAVA21 names no home of one"}
	}
	return path, checkJavaVersion(apicurioPart, path, apicurioJava)
}

// apicurioApp returns the directory of quarkus-run.jar; the first call on a machine fetches 160 MB by Maven.
func apicurioApp() (string, error) {
	return install{part: apicurioPart, name: "apicurio", pin: []byte(apicurioArtifact), fill: func(dir string, log *os.File) error {
		mvn, err := exec.LookPath("mvn")
		if err != nil {
			return &Missing{apicurioPart, "it is not in the cache and there is no mvn (Debian: apt-get install maven)"}
		}
		if err := runLogged(log, dir, mvn, "-B", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
			"-Dartifact="+apicurioArtifact, "-DoutputDirectory="+dir); err != nil {
			return err
		}
		archives, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
		if err != nil {
			return err
		}
		for _, archive := range archives {
			if err := runLogged(log, dir, "tar", "-xzf", archive); err != nil {
				return err
			}
			if err := os.Remove(archive); err != nil {
				return err
			}
		}
		_, err = os.Stat(filepath.Join(dir, "quarkus-run.jar"))
		return err
	}}.get()
}

func (a *Apicurio) waitReady() error {
	client := http.Client{Timeout: 10 * time.Second}
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if !a.proc.running() {
			return fmt.Errorf("%s ended while it started", apicurioPart)
		}
		res, err := client.Get(a.URL + "/subjects")
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("%s does not answer after %v", apicurioPart, startTimeout)
}

// Stop ends the registry, and with it all that it holds.
func (a *Apicurio) Stop() error { return a.proc.stop(stopTimeout) }
