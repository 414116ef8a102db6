package silt

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/siltlake/silt/internal/config"
	"github.com/siltlake/silt/internal/doctor"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/option"
	"github.com/siltlake/silt/internal/problem"
)

// findingsOf are a line a finding: status, check, and what was seen.
func findingsOf(t *testing.T, findings []doctor.Finding) string {
	t.Helper()
	var b strings.Builder
	for _, f := range findings {
		if f.Status == doctor.Failed && f.Fix == "" && f.Check != "options" {
			t.Errorf("%+v does not say what to do", f)
		}
		b.WriteString(f.Status.String() + " " + f.Check + " " + f.Detail + "\n")
	}
	return b.String()
}

// The way to a store is judged by the authorities that the store itself is asked with.
func TestDoctorTrustsTheAuthoritiesOfAWS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that it did not like
	server.StartTLS()
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []bool{true, false} {
		env := map[string]string{}
		if trusted {
			env["AWS_CA_BUNDLE"] = bundle
		}
		p := &config.Pipeline{
			Table: config.Path{Text: "s3://bucket/t", URL: "s3://bucket/t"}, Checkpoint: config.Path{Text: "s3://bucket/c", URL: "s3://bucket/c"},
			Env: func(name string) (string, bool) { return env[name], env[name] != "" },
			Storage: option.NewValues("sink.storageOptions", problem.Location{},
				option.Value{Key: "fs.s3a.endpoint", Text: server.URL}, option.Value{Key: "aws_skip_signature", Text: "true"}),
		}
		s, problems := parseStorage(p, config.Path{})
		if len(problems) > 0 {
			t.Fatal(problems[0])
		}
		d := &examination{p: p, services: map[string]bool{}}
		if stands := d.service(t.Context(), s, s.table); stands != trusted {
			t.Errorf("trusted %v: %s", trusted, findingsOf(t, d.findings))
		}
	}
}

func TestDoctorGoesOnWithWhatDoesNotDependOnAFailure(t *testing.T) {
	schemas := map[string]string{
		"types": `["AVRO"]`,
		"7":     `{"schema":"{\"type\":\"record\",\"name\":\"click\",\"fields\":[{\"name\":\"n\",\"type\":\"long\"}]}"}`,
	}
	tests := []struct {
		name, more string
		set        []string
		value      []byte // of a record of the topic; nil: there is none
		schemas    map[string]string
		want       []string // in this order, each in a line
	}{
		{name: "all is well", value: []byte{0, 0, 0, 0, 7, 2}, schemas: schemas, want: []string{
			"ok options", "ok dns", "ok tcp", "ok login", "ok topic 2 partitions, 1 offset; it may be read", "ok dns", "ok tcp", "ok registry",
			"ok schema schema id 7 of the newest record"}},
		{name: "an empty topic has no schema to look at", schemas: schemas, want: []string{"ok topic 2 partitions, 0 offsets", "ok schema no record yet"}},
		{name: "an id that the registry does not have", value: []byte{0, 0, 0, 0, 8, 2}, schemas: schemas,
			want: []string{"ok registry", "warning schema the newest record"}},
		{name: "an unknown topic does not hide the registry", set: []string{"source.kafka.subscribe=Clicks"}, schemas: schemas, want: []string{
			`failed topic unknown topic "Clicks"; did you mean "clicks"?`, "ok registry", "skipped schema the topic cannot be read"}},
		{name: "a broker that is not there does not hide the registry", more: "name: q", set: []string{"source.kafka.kafka.bootstrap.servers=127.0.0.1:1"}, schemas: schemas,
			want: []string{"failed tcp", "skipped login", "skipped topic", "skipped group no broker can be reached", "ok registry", "skipped schema"}},
		{name: "without a name there is no group to look at", set: []string{"source.kafka.kafka.bootstrap.servers=127.0.0.1:1"}, schemas: schemas,
			want: []string{"skipped topic no broker can be reached\nok dns"}},
		{name: "a registry that is not there", more: "name: q", set: []string{"registry.schema.registry.url=http://127.0.0.1:1"}, want: []string{
			"ok group", "failed tcp", "skipped clock it cannot be reached", "skipped registry", "skipped schema"}},
		{name: "stores that are not there", schemas: schemas, set: []string{"sink.delta.path=s3://bucket/t", "checkpointLocation=s3://bucket/c",
			"sink.storageOptions.fs.s3a.endpoint=http://127.0.0.1:1", "sink.storageOptions.aws_skip_signature=true"}, want: []string{
			"ok registry", "failed tcp", "skipped clock", "skipped store its service cannot be reached", "skipped table its store cannot be used",
			"skipped store", "skipped checkpoint its store cannot be used"}},
		{name: "the registry refuses the login", schemas: map[string]string{"types": "401"}, want: []string{
			"ok topic", "failed registry", "skipped schema the registry does not let silt in"}},
		{name: "wrong options are all there is to see", more: "trigger: {availableNow: perhaps}", schemas: schemas,
			want: []string{`failed options availableNow is "perhaps"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := aCluster(t, tt.schemas, tt.more, tt.set...)
			if tt.value != nil {
				put(t, p, kafka.Record{Partition: -1, Value: tt.value})
			}
			told := 0
			findings, err := Doctor(t.Context(), p, DoctorOptions{Found: func(doctor.Finding) { told++ }})
			if err != nil {
				t.Fatal(err)
			}
			if told != len(findings) {
				t.Errorf("told of %d findings, returned %d", told, len(findings))
			}
			got := findingsOf(t, findings)
			rest := got
			for _, want := range tt.want {
				i := strings.Index(rest, want)
				if i < 0 {
					t.Fatalf("no %q in its place in\n%s", want, got)
				}
				rest = rest[i+len(want):]
			}
		})
	}
}
