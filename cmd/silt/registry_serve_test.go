package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr"
)

// serving starts silt registry serve and returns its URL once it answers, and a function that stops it and returns the exit status and
// what it printed.
func serving(t *testing.T, env map[string]string, args ...string) (url string, stop func() (int, string)) {
	t.Helper()
	f := newFakeProcess(engine{})
	f.env = env
	f.signals = make(chan os.Signal, 1)
	status := make(chan int, 1)
	go func() { status <- f.main(append([]string{"registry", "serve"}, args...)...) }()
	address := regexp.MustCompile(`https?://\S+`)
	for url == "" {
		select {
		case s := <-status:
			t.Fatalf("exit status %d: %s", s, f.stderr.String())
		case <-time.After(time.Millisecond):
			url = address.FindString(f.stderr.String())
		}
	}
	return url, func() (int, string) {
		f.signals <- syscall.SIGTERM
		return <-status, f.stderr.String()
	}
}

func kafkaCluster(t *testing.T) string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return strings.Join(c.ListenAddrs(), ",")
}

func TestRegistryServeKeepsSchemasInTheTopic(t *testing.T) {
	brokers := kafkaCluster(t)
	logins := filepath.Join(t.TempDir(), "logins")
	if err := os.WriteFile(logins, []byte("# who\nKEY:file-secret\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{registryLoginVariable: "ENV:env-secret"}
	for run, login := range [][2]string{{"KEY", "file-secret"}, {"ENV", "env-secret"}} {
		url, stop := serving(t, env, "--bootstrap-servers", brokers, "--listen", "127.0.0.1:0", "--logins", logins, "--topic", "schemas-here")
		c, err := sr.NewClient(sr.URLs(url), sr.BasicAuth(login[0], login[1]))
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if run == 0 {
			if _, err := c.RegisterSchema(ctx, "s", sr.Schema{Schema: `"int"`}, -1, -1); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := c.SchemaByID(ctx, 1); err != nil || s.Schema != `"int"` {
			t.Errorf("run %d: %+v, %v", run, s, err)
		}
		status, printed := stop()
		if status != 0 || strings.Contains(printed, "secret") || !strings.Contains(printed, "topic schemas-here · basic auth") {
			t.Errorf("run %d: exit status %d: %s", run, status, printed)
		}
	}
}

func TestRegistryServeTakesAFreePortIfItsOwnIsTaken(t *testing.T) {
	if l, err := net.Listen("tcp", defaultRegistryAddress); err == nil {
		defer l.Close()
	}
	url, stop := serving(t, nil, "--bootstrap-servers", kafkaCluster(t))
	if status, printed := stop(); status != 0 || strings.HasSuffix(url, ":8081") {
		t.Errorf("%s, exit status %d: %s", url, status, printed)
	}
}

func TestRegistryServeReadsTheBrokersOfAPipeline(t *testing.T) {
	dir := t.TempDir()
	file := pipeline(t, "source: {kafka: {kafka.bootstrap.servers: '"+kafkaCluster(t)+"', subscribe: clicks}}\n"+
		"sink: {delta: {path: "+dir+"/table}}\ncheckpointLocation: "+dir+"/checkpoint\n")
	_, stop := serving(t, nil, "-c", file, "--listen", "127.0.0.1:0")
	if status, printed := stop(); status != 0 || !strings.Contains(printed, "no login needed") {
		t.Errorf("exit status %d: %s", status, printed)
	}
}

func TestRegistryServeSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := filepath.Join(t.TempDir(), "logins")
	if err := os.WriteFile(bad, []byte("KEY:good\nno colon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	brokers := kafkaCluster(t)
	tests := []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--bootstrap-servers", brokers, "-c", "x.yaml"}, 2, "exclude each other"},
		{[]string{"--bootstrap-servers", brokers, "--tls-key", "k.pem"}, 2, "both of --tls-certificate and --tls-key"},
		{[]string{"--bootstrap-servers", brokers, "--tls-key", bad, "--tls-certificate", bad}, 2, "cannot be used"},
		{[]string{"--bootstrap-servers", brokers, "--replication-factor", "-1"}, 2, "replication-factor"},
		{[]string{"--bootstrap-servers", brokers, "--logins", bad}, 2, "logins:2"},
		{[]string{"--bootstrap-servers", brokers, "--logins", "nowhere"}, 2, "nowhere"},
		{[]string{"--bootstrap-servers", brokers, "--listen", taken.Addr().String()}, 2, "cannot listen"},
		{[]string{"--bootstrap-servers", brokers, "--listen", "0.0.0.0:0"}, 2, "without logins or without TLS"},
	}
	for _, tt := range tests {
		f := newFakeProcess(engine{})
		if status := f.main(append([]string{"registry", "serve"}, tt.args...)...); status != tt.status || !strings.Contains(f.stderr.String(), tt.says) {
			t.Errorf("%v: exit status %d, want %d; want %q in\n%s", tt.args, status, tt.status, tt.says, f.stderr.String())
		}
	}
}
