//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/siltlake/silt/internal/registryd"
	"github.com/siltlake/silt/test/parts"
)

// A disagreement is what the embedded registry and Apicurio answer to one question, where that is not the same.
type disagreement struct {
	silt, apicurio string
	why            string // why silt's answer stays as it is
}

// disagreements are all there are, by question. One that is not here fails the test, and so does one of these that is gone.
var disagreements = map[string]disagreement{
	"soft delete version 1 again": {"error 40406, status 404", "error 40406, status 409",
		"Confluent's registry answers a version that is soft deleted already as one that is not found"},
	"hard delete version 2 first": {"error 40407, status 404", "error 40407, status 409",
		"Confluent's registry answers a version that has to be soft deleted first as one that is not found"},
	"soft delete the subject": {"[2]", "[1 2]",
		"Confluent's registry names the versions that this call deleted; version 1 was deleted before"},
}

// TestRegistryAnswersAsApicurioDoes asks both the same by franz-go's client: the calls of a subject's life, and the verdicts of three levels
// of compatibility about the schema pairs.
func TestRegistryAnswersAsApicurioDoes(t *testing.T) {
	if os.Getenv("SILT_APICURIO") != "1" {
		t.Skip("SILT_APICURIO is not 1: make apicurio runs this")
	}
	apicurio, err := parts.StartApicurio(t.TempDir())
	parts.Need(t, err)
	stopAtEnd(t, apicurio.Stop)
	registry, err := registryd.Open(t.Context(), &journal{}, registryd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	server := httptest.NewServer(registry)
	t.Cleanup(server.Close)

	ofSilt, ofApicurio := newAsked(t, server.URL), newAsked(t, apicurio.URL)
	for _, a := range []*asked{ofSilt, ofApicurio} {
		a.lifeOfASubject(t.Context())
		for _, p := range schemaPairs {
			for _, level := range []sr.CompatibilityLevel{sr.CompatBackward, sr.CompatForward, sr.CompatFull} {
				a.verdict(t, p, level)
			}
		}
	}
	if !slices.Equal(ofSilt.questions, ofApicurio.questions) || len(ofSilt.answers) != len(ofSilt.questions) {
		t.Fatal("the two were not asked the same, each question once")
	}
	same := 0
	for _, question := range ofSilt.questions {
		silt, apicurio := ofSilt.answers[question], ofApicurio.answers[question]
		known, listed := disagreements[question]
		switch {
		case silt == apicurio && listed:
			t.Errorf("%s: both answer %q, but a disagreement is listed", question, silt)
		case silt != apicurio && (!listed || known.silt != silt || known.apicurio != apicurio):
			t.Errorf("%s: silt answers %q, Apicurio %q; listed is %+v", question, silt, apicurio, known)
		case silt == apicurio:
			same++
		}
	}
	if verdicts := slices.Collect(maps.Values(ofSilt.answers)); !slices.Contains(verdicts, "true") || !slices.Contains(verdicts, "false") {
		t.Error("all verdicts are the same")
	}
	for question, d := range disagreements {
		if _, ok := ofSilt.answers[question]; !ok || d.why == "" {
			t.Errorf("the listed disagreement %q is of no question, or has no reason", question)
		}
	}
	t.Logf("%d of %d answers are the same", same, len(ofSilt.questions))
}

// asked are the answers of one registry. Its ids stand there as the order in which they were first seen: #1, #2.
type asked struct {
	client    *sr.Client
	questions []string
	answers   map[string]string
	ids       []int
}

func newAsked(t *testing.T, url string) *asked {
	t.Helper()
	client, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	return &asked{client: client, answers: map[string]string{}}
}

func (a *asked) note(question, answer string, err error) {
	if e, ok := errors.AsType[*sr.ResponseError](err); ok {
		answer = fmt.Sprintf("error %d, status %d", e.ErrorCode, e.StatusCode)
	} else if err != nil {
		answer = "no answer: " + err.Error()
	}
	a.questions = append(a.questions, question)
	a.answers[question] = answer
}

func (a *asked) id(id int) string {
	if !slices.Contains(a.ids, id) {
		a.ids = append(a.ids, id)
	}
	return fmt.Sprintf("#%d", slices.Index(a.ids, id)+1)
}

func (a *asked) described(s sr.SubjectSchema) string {
	return fmt.Sprintf("%s version %d id %s %s", s.Subject, s.Version, a.id(s.ID), s.Schema.Schema)
}

const (
	lifeV1    = `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`
	lifeV2    = `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null}]}`
	lifeWrong = `{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}`
)

// lifeOfASubject asks all calls of a subject and its versions, in the order of a life.
func (a *asked) lifeOfASubject(ctx context.Context) {
	const subject = "life-value"
	register := func(question, subject, schema string) int {
		id, err := a.client.RegisterSchema(ctx, subject, sr.Schema{Schema: schema}, -1, -1)
		answer := ""
		if err == nil {
			answer = a.id(id)
		}
		a.note(question, answer, err)
		return id
	}
	lookup := func(question, schema string) {
		s, err := a.client.LookupSchema(ctx, subject, sr.Schema{Schema: schema})
		a.note(question, a.described(s), err)
	}
	version := func(question string, n int) {
		s, err := a.client.SchemaByVersion(ctx, subject, n)
		a.note(question, a.described(s), err)
	}
	versions := func(ctx context.Context, question string) {
		n, err := a.client.SubjectVersions(ctx, subject)
		a.note(question, fmt.Sprint(n), err)
	}
	remove := func(question string, how sr.DeleteHow) {
		n, err := a.client.DeleteSubject(ctx, subject, how)
		a.note(question, fmt.Sprint(n), err)
	}
	byID := func(question string, id int) {
		s, err := a.client.SchemaByID(ctx, id)
		a.note(question, s.Schema, err)
	}

	versions(ctx, "versions of no subject")
	lookup("lookup in no subject", lifeV1)
	byID("an id that is not there", 99999)
	remove("delete no subject", sr.SoftDelete)
	first := register("register", subject, lifeV1)
	register("register again", subject, lifeV1)
	register("register in another subject", "life-other", lifeV1)
	second := register("register a compatible one", subject, lifeV2)
	register("register an incompatible one", subject, lifeWrong)
	register("register what is no schema", subject, `{"type":"nothing"}`)
	versions(ctx, "versions")
	lookup("lookup", lifeV1)
	lookup("lookup of what is not there", lifeWrong)
	version("version 1", 1)
	version("the latest version", -1)
	version("version 9", 9)
	byID("the first id", first)
	byID("the second id", second)
	a.note("soft delete version 1", "done", a.client.DeleteSchema(ctx, subject, 1, sr.SoftDelete))
	a.note("soft delete version 1 again", "done", a.client.DeleteSchema(ctx, subject, 1, sr.SoftDelete))
	versions(ctx, "versions after the soft delete")
	versions(sr.WithParams(ctx, sr.ShowDeleted), "versions with deleted ones")
	version("version 1 after its soft delete", 1)
	byID("the first id after its soft delete", first)
	a.note("hard delete version 2 first", "done", a.client.DeleteSchema(ctx, subject, 2, sr.HardDelete))
	remove("soft delete the subject", sr.SoftDelete)
	versions(ctx, "versions of the deleted subject")
	byID("the second id after its soft delete", second)
	remove("hard delete the subject", sr.HardDelete)
	versions(sr.WithParams(ctx, sr.ShowDeleted), "deleted versions after the hard delete")
	register("register after the hard delete", subject, lifeV1)
	versions(ctx, "versions after the hard delete")
}

// verdict asks whether the new schema of a pair may follow the old one at a level.
func (a *asked) verdict(t *testing.T, p schemaPair, level sr.CompatibilityLevel) {
	t.Helper()
	question := p.name + ", " + level.String()
	ctx := t.Context()
	if _, err := a.client.RegisterSchema(ctx, question, sr.Schema{Schema: p.old}, -1, -1); err != nil {
		t.Fatalf("%s: register the old schema: %v", question, err)
	}
	if set := a.client.SetCompatibility(ctx, sr.SetCompatibility{Level: level}, question); set[0].Err != nil {
		t.Fatalf("%s: set the level: %v", question, set[0].Err)
	}
	result, err := a.client.CheckCompatibility(ctx, question, -1, sr.Schema{Schema: p.new})
	a.note(question, fmt.Sprint(result.Is), err)
}

// A journal keeps the registry's records in memory. The registry makes one call at a time.
type journal struct{ records []registryd.Record }

func (j *journal) Append(_ context.Context, records []registryd.Record) (int64, error) {
	for _, r := range records {
		r.Offset = int64(len(j.records))
		j.records = append(j.records, r)
	}
	return int64(len(j.records)), nil
}

func (j *journal) Replay(_ context.Context, from int64, apply func(registryd.Record) error) (int64, error) {
	for _, r := range j.records[from:] {
		if err := apply(r); err != nil {
			return r.Offset, err
		}
	}
	return int64(len(j.records)), nil
}
