package registryd

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/siltlake/silt/internal/httpd"
	"github.com/siltlake/silt/internal/secret"
	"github.com/twmb/franz-go/pkg/sr"
)

// client is franz-go's client of a registry with a login.
func client(t *testing.T, opts ...sr.ClientOpt) *sr.Client {
	t.Helper()
	r := open(t, &memJournal{}, Options{Logins: []httpd.Login{{Key: secret.New("KEY"), Secret: secret.New("s3cret")}}})
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	c, err := sr.NewClient(append([]sr.ClientOpt{sr.URLs(s.URL), sr.HTTPClient(s.Client()), sr.BasicAuth("KEY", "s3cret")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// must fails the test for an error.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	if e, ok := errors.AsType[*sr.ResponseError](err); !ok || e.ErrorCode != code {
		t.Errorf("got %v, want error code %d", err, code)
	}
}

const (
	recordA  = `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`
	recordAB = `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null}]}`
)

func TestFranzGosClientRegistersAndReads(t *testing.T) {
	c, ctx := client(t), context.Background()
	ss := must[sr.SubjectSchema](t)(c.CreateSchema(ctx, "s", sr.Schema{Schema: recordA}))
	if ss.ID != 1 || ss.Version != 1 || ss.Subject != "s" || ss.Schema.Schema != recordA || ss.Type != sr.TypeAvro {
		t.Errorf("got %+v", ss)
	}
	if id := must[int](t)(c.RegisterSchema(ctx, "s", sr.Schema{Schema: recordAB}, -1, -1)); id != 2 {
		t.Errorf("got id %d", id)
	}
	if got := must[[]string](t)(c.Subjects(ctx)); !slices.Equal(got, []string{"s"}) {
		t.Errorf("subjects %v", got)
	}
	if got := must[[]int](t)(c.SubjectVersions(ctx, "s")); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("versions %v", got)
	}
	if got := must[sr.Schema](t)(c.SchemaByID(ctx, 2)); got.Schema != recordAB {
		t.Errorf("by id %+v", got)
	}
	if got := must[string](t)(c.SchemaTextByID(ctx, 1)); got != recordA {
		t.Errorf("text by id %s", got)
	}
	if got := must[sr.SubjectSchema](t)(c.SchemaByVersion(ctx, "s", -1)); got.Version != 2 || got.ID != 2 {
		t.Errorf("latest %+v", got)
	}
	if got := must[string](t)(c.SchemaTextByVersion(ctx, "s", 1)); got != recordA {
		t.Errorf("text by version %s", got)
	}
	if got := must[[]sr.SubjectSchema](t)(c.Schemas(ctx, "s")); len(got) != 2 || got[1].Schema.Schema != recordAB {
		t.Errorf("schemas %+v", got)
	}
	if got := must[[]sr.SubjectSchema](t)(c.AllSchemas(sr.WithParams(ctx, sr.LatestOnly))); len(got) != 1 || got[0].Version != 2 {
		t.Errorf("all schemas %+v", got)
	}
	if got := must[[]string](t)(c.SubjectsByID(ctx, 1)); !slices.Equal(got, []string{"s"}) {
		t.Errorf("subjects by id %v", got)
	}
	if got := must[[]sr.SubjectVersion](t)(c.SchemaVersionsByID(ctx, 2)); !slices.Equal(got, []sr.SubjectVersion{{Subject: "s", Version: 2}}) {
		t.Errorf("versions by id %v", got)
	}
	if got := must[[]sr.SubjectSchema](t)(c.SchemaUsagesByID(ctx, 2)); len(got) != 1 || got[0].Subject != "s" {
		t.Errorf("usages %+v", got)
	}
	if got := must[sr.SubjectSchema](t)(c.LookupSchema(ctx, "s", sr.Schema{Schema: " " + recordAB})); got.Version != 2 {
		t.Errorf("look-up %+v", got)
	}
	if got := must[[]sr.SchemaType](t)(c.SupportedTypes(ctx)); !slices.Equal(got, []sr.SchemaType{sr.TypeAvro}) {
		t.Errorf("types %v", got)
	}
	_, err := c.SchemaByID(ctx, 99)
	wantCode(t, err, sr.ErrSchemaNotFound.Code)
	_, err = c.SchemaByVersion(ctx, "nope", 1)
	wantCode(t, err, sr.ErrSubjectNotFound.Code)
	_, err = c.CreateSchema(ctx, "s", sr.Schema{Schema: "{}", Type: sr.TypeJSON})
	wantCode(t, err, sr.ErrInvalidSchema.Code)
}

func TestFranzGosClientFindsGUIDs(t *testing.T) {
	c, ctx := client(t), context.Background()
	must[int](t)(c.RegisterSchema(ctx, "s", sr.Schema{Schema: recordA}, -1, -1))
	must[int](t)(c.RegisterSchema(sr.InContext(ctx, "c"), "other", sr.Schema{Schema: recordAB}, -1, -1))
	must[int](t)(c.RegisterSchema(sr.InContext(ctx, "c"), "s", sr.Schema{Schema: recordA}, -1, -1))
	var ss sr.SubjectSchema
	if err := c.Do(ctx, "GET", "/subjects/s/versions/1", nil, &ss); err != nil {
		t.Fatal(err)
	}
	g := (&schema{text: recordA}).guid().String()
	if got := must[sr.SubjectSchema](t)(c.SchemaByGUID(ctx, g)); got.Schema.Schema != recordA || got.GUID != g {
		t.Errorf("by guid %+v", got)
	}
	got := must[[]sr.ContextID](t)(c.SchemaIDsByGUID(ctx, g))
	if diff := cmp.Diff([]sr.ContextID{{Context: ".", ID: 1}, {Context: ".c", ID: 2}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFranzGosClientDeletes(t *testing.T) {
	c, ctx := client(t), context.Background()
	for _, s := range []string{recordA, recordAB} {
		must[int](t)(c.RegisterSchema(ctx, "s", sr.Schema{Schema: s}, -1, -1))
	}
	wantCode(t, c.DeleteSchema(ctx, "s", 1, sr.HardDelete), sr.ErrSchemaVersionNotSoftDeleted.Code)
	if err := c.DeleteSchema(ctx, "s", 1, sr.SoftDelete); err != nil {
		t.Fatal(err)
	}
	if got := must[[]int](t)(c.SubjectVersions(sr.WithParams(ctx, sr.ShowDeleted), "s")); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("versions %v", got)
	}
	if err := c.DeleteSchema(ctx, "s", 1, sr.HardDelete); err != nil {
		t.Fatal(err)
	}
	_, err := c.DeleteSubject(ctx, "s", sr.HardDelete)
	wantCode(t, err, sr.ErrSubjectNotSoftDeleted.Code)
	if got := must[[]int](t)(c.DeleteSubject(ctx, "s", sr.SoftDelete)); !slices.Equal(got, []int{2}) {
		t.Errorf("deleted %v", got)
	}
	if got := must[[]string](t)(c.Subjects(sr.WithParams(ctx, sr.DeletedOnly))); !slices.Equal(got, []string{"s"}) {
		t.Errorf("subjects %v", got)
	}
	if got := must[[]int](t)(c.DeleteSubject(ctx, "s", sr.HardDelete)); !slices.Equal(got, []int{2}) {
		t.Errorf("deleted %v", got)
	}
	_, err = c.SchemaByID(ctx, 2)
	wantCode(t, err, sr.ErrSchemaNotFound.Code)
}

func TestFranzGosClientChecksAndSetsCompatibility(t *testing.T) {
	c, ctx := client(t), context.Background()
	must[int](t)(c.RegisterSchema(ctx, "s", sr.Schema{Schema: recordA}, -1, -1))
	_, err := c.RegisterSchema(ctx, "s", sr.Schema{Schema: `"int"`}, -1, -1)
	wantCode(t, err, 409)
	for _, version := range []int{-1, -2, 1} {
		got := must[sr.CheckCompatibilityResult](t)(c.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), "s", version, sr.Schema{Schema: `"int"`}))
		if got.Is || len(got.Messages) == 0 || !strings.Contains(got.Messages[0], "TYPE_MISMATCH") {
			t.Errorf("version %d: %+v", version, got)
		}
		if got := must[sr.CheckCompatibilityResult](t)(c.CheckCompatibility(ctx, "s", version, sr.Schema{Schema: recordAB})); !got.Is {
			t.Errorf("version %d: %+v", version, got)
		}
	}
	if got := c.Compatibility(ctx); got[0].Err != nil || got[0].Level != sr.CompatBackward {
		t.Errorf("%+v", got)
	}
	wantCode(t, c.Compatibility(ctx, "s")[0].Err, sr.ErrSubjectLevelCompatibilityNotConfigured.Code)
	if got := c.Compatibility(sr.WithParams(ctx, sr.DefaultToGlobal), "s"); got[0].Err != nil || got[0].Level != sr.CompatBackward {
		t.Errorf("%+v", got)
	}
	for level := sr.CompatNone; level <= sr.CompatFullTransitive; level++ {
		if got := c.SetCompatibility(ctx, sr.SetCompatibility{Level: level}, "s", sr.GlobalSubject); got[0].Err != nil || got[1].Err != nil || got[0].Level != level {
			t.Errorf("%+v", got)
		}
		if got := c.Compatibility(ctx, "s"); got[0].Err != nil || got[0].Level != level {
			t.Errorf("%+v", got)
		}
	}
	if got := c.ResetCompatibility(ctx, "s"); got[0].Err != nil {
		t.Errorf("%+v", got)
	}
	if got := c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFull, Alias: "x"}, "s"); got[0].Err == nil {
		t.Error("an alias was taken")
	}
}

func TestFranzGosClientSetsModes(t *testing.T) {
	c, ctx := client(t), context.Background()
	must[int](t)(c.RegisterSchema(ctx, "s", sr.Schema{Schema: recordA}, -1, -1))
	wantCode(t, c.Mode(ctx, "s")[0].Err, sr.ErrSubjectLevelModeNotConfigured.Code)
	wantCode(t, c.SetMode(ctx, sr.ModeImport)[0].Err, sr.ErrOperationNotPermitted.Code)
	if got := c.SetMode(sr.WithParams(ctx, sr.Force), sr.ModeImport); got[0].Err != nil || got[0].Mode != sr.ModeImport {
		t.Errorf("%+v", got)
	}
	got := must[sr.SubjectSchema](t)(c.CreateSchemaWithIDAndVersion(ctx, "i", sr.Schema{Schema: recordAB}, 100017, 5))
	if got.ID != 100017 || got.Version != 5 {
		t.Errorf("%+v", got)
	}
	if got := c.ResetMode(ctx); got[0].Err != nil {
		t.Errorf("%+v", got)
	}
	if got := c.SetMode(ctx, sr.ModeReadOnly, "s"); got[0].Err != nil {
		t.Errorf("%+v", got)
	}
	_, err := c.RegisterSchema(ctx, "s", sr.Schema{Schema: recordAB}, -1, -1)
	wantCode(t, err, sr.ErrOperationNotPermitted.Code)
	if got := c.ResetMode(ctx, "s"); got[0].Err != nil || got[0].Mode != sr.ModeReadOnly {
		t.Errorf("%+v", got)
	}
	if got := c.Mode(ctx); got[0].Mode != sr.ModeReadWrite {
		t.Errorf("%+v", got)
	}
}

func TestFranzGosClientUsesReferencesAndContexts(t *testing.T) {
	c, ctx := client(t), context.Background()
	in := sr.InContext(ctx, ".team")
	must[sr.SubjectSchema](t)(c.CreateSchema(in, "inner", sr.Schema{Schema: `{"type":"enum","name":"E","symbols":["A"]}`}))
	outer := must[sr.SubjectSchema](t)(c.CreateSchema(in, "outer", sr.Schema{
		Schema:     `{"type":"record","name":"O","fields":[{"name":"e","type":"E"}]}`,
		References: []sr.SchemaReference{{Name: "E", Subject: "inner", Version: 1}},
		SchemaMetadata: &sr.SchemaMetadata{
			Properties: map[string]string{"owner": "me"}, Tags: map[string][]string{"O.e": {"PII"}}, Sensitive: []string{"x"},
		},
		SchemaRuleSet: &sr.SchemaRuleSet{DomainRules: []sr.SchemaRule{{
			Name: "r", Kind: sr.SchemaRuleKindCondition, Mode: sr.SchemaRuleModeWrite, Type: "CEL", Tags: []string{"PII"}, Expr: "true",
		}}},
	}))
	if outer.Subject != ":.team:outer" || len(outer.References) != 1 || outer.SchemaMetadata.Properties["owner"] != "me" ||
		outer.SchemaRuleSet.DomainRules[0].Expr != "true" {
		t.Errorf("%+v", outer)
	}
	if got := must[[]sr.SubjectSchema](t)(c.SchemaReferences(in, "inner", 1)); len(got) != 1 || got[0].Subject != ":.team:outer" {
		t.Errorf("%+v", got)
	}
	_, err := c.DeleteSubject(in, "inner", sr.SoftDelete)
	wantCode(t, err, sr.ErrReferenceExists.Code)
	if got := must[[]string](t)(c.Contexts(ctx)); !slices.Equal(got, []string{".", ".team"}) {
		t.Errorf("contexts %v", got)
	}
	if got := must[[]string](t)(c.Subjects(sr.WithParams(ctx, sr.SubjectPrefix(":.team:o")))); !slices.Equal(got, []string{":.team:outer"}) {
		t.Errorf("subjects %v", got)
	}
	if err := c.DeleteContext(ctx, ".team"); err == nil {
		t.Error("a context with subjects was deleted")
	}
	for _, s := range []string{"outer", "inner"} {
		for _, how := range []sr.DeleteHow{sr.SoftDelete, sr.HardDelete} {
			must[[]int](t)(c.DeleteSubject(in, s, how))
		}
	}
	if err := c.DeleteContext(ctx, ".team"); err != nil {
		t.Error(err)
	}
}

func TestAWrongLoginIsRefused(t *testing.T) {
	for _, login := range []sr.ClientOpt{sr.BasicAuth("KEY", "wrong"), sr.BasicAuth("", ""), sr.BasicAuth("KEYs", "3cret"), sr.BearerToken("s3cret")} {
		c := client(t, login)
		_, err := c.Subjects(context.Background())
		wantCode(t, err, 401)
	}
}
