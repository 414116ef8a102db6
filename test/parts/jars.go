package parts

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

//go:embed pom.xml
var pom []byte

// java is what Apache Kafka 4 needs at least.
const java = 17

// Jars returns the directory of Apache Kafka's jars; the first call on a machine fetches them by Maven.
func Jars() (string, error) {
	const part = "Apache Kafka"
	if err := checkJava(part); err != nil {
		return "", err
	}
	return install{part: part, name: "kafka", pin: pom, fill: func(dir string, log *os.File) error {
		mvn, err := exec.LookPath("mvn")
		if err != nil {
			return &Missing{part, "its jars are not in the cache and there is no mvn (Debian: apt-get install maven)"}
		}
		file := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(file, pom, 0o644); err != nil {
			return err
		}
		return runLogged(log, dir, mvn, "-B", "-q", "-f", file, "dependency:copy-dependencies", "-DoutputDirectory="+dir)
	}}.get()
}

func checkJava(part string) error {
	path, err := exec.LookPath("java")
	if err != nil {
		return &Missing{part, "there is no java (Debian: apt-get install openjdk-17-jre-headless)"}
	}
	return checkJavaVersion(part, path, java)
}

var versionOfJava = regexp.MustCompile(`version "(\d+)`)

// checkJavaVersion says that a part is missing if the java at path is older than it needs.
func checkJavaVersion(part, path string, least int) error {
	out, err := exec.Command(path, "-version").CombinedOutput()
	if err != nil {
		return &Missing{part, path + " -version: " + err.Error()}
	}
	found := versionOfJava.FindSubmatch(out)
	if found == nil {
		return &Missing{part, path + " -version names no version"}
	}
	if n, err := strconv.Atoi(string(found[1])); err != nil || n < least {
		return &Missing{part, path + " is version " + string(found[1]) + ", needed is " + strconv.Itoa(least)}
	}
	return nil
}
