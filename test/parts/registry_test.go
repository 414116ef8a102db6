package parts

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/sr"
)

func startTestRegistry(t *testing.T) (*Registry, *sr.Client) {
	t.Helper()
	r, err := StartRegistry("KEY", "SECRET")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	cl, err := sr.NewClient(sr.URLs(r.URL), sr.BasicAuth(r.User, r.Password))
	if err != nil {
		t.Fatal(err)
	}
	return r, cl
}

func TestRegistryGivesBackWhatAClientRegistered(t *testing.T) {
	_, cl := startTestRegistry(t)
	ctx := t.Context()
	const name = "needs/escaping value"
	schemas := []string{`"string"`, `"int"`, `"string"`} // the third is the first again
	wantIDs := []int{FirstSchemaID, FirstSchemaID + 1, FirstSchemaID}
	for i, text := range schemas {
		id, err := cl.RegisterSchema(ctx, name, sr.Schema{Schema: text}, -1, -1)
		if err != nil {
			t.Fatal(err)
		}
		if id != wantIDs[i] {
			t.Errorf("schema %d: id %d, want %d", i, id, wantIDs[i])
		}
	}
	byID, err := cl.SchemaByID(ctx, FirstSchemaID+1)
	if err != nil {
		t.Fatal(err)
	}
	if byID.Schema != `"int"` {
		t.Errorf("schema by id: %s", byID.Schema)
	}
	versions, err := cl.SubjectVersions(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 2}, versions); diff != "" {
		t.Error(diff)
	}
}

func TestRegistryKeepsReferences(t *testing.T) {
	r, cl := startTestRegistry(t)
	r.Add("inner", `{"type":"enum","name":"E","symbols":["A"]}`)
	id := r.Add("outer", `{"type":"record","name":"R","fields":[{"name":"e","type":"E"}]}`, Reference{"E", "inner", 1})
	got, err := cl.SchemaByID(t.Context(), int(id))
	if err != nil {
		t.Fatal(err)
	}
	want := []sr.SchemaReference{{Name: "E", Subject: "inner", Version: 1}}
	if diff := cmp.Diff(want, got.References); diff != "" {
		t.Error(diff)
	}
}

func TestRegistryRefusesAsConfluentsDoes(t *testing.T) {
	r, cl := startTestRegistry(t)
	r.Add("known", `"string"`)
	wrong, err := sr.NewClient(sr.URLs(r.URL), sr.BasicAuth("KEY", "guess"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		ask  func(context.Context) error
		want int // error_code
	}{
		"wrong password":  {func(ctx context.Context) error { _, err := wrong.SupportedTypes(ctx); return err }, 401},
		"unknown id":      {func(ctx context.Context) error { _, err := cl.SchemaByID(ctx, 7); return err }, 40403},
		"unknown subject": {func(ctx context.Context) error { _, err := cl.SchemaByVersion(ctx, "none", 1); return err }, 40401},
		"unknown version": {func(ctx context.Context) error { _, err := cl.SchemaByVersion(ctx, "known", 2); return err }, 40402},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.ask(t.Context())
			answer, ok := err.(*sr.ResponseError)
			if !ok {
				t.Fatalf("error %v is no answer of the registry", err)
			}
			if answer.ErrorCode != test.want {
				t.Errorf("error_code %d, want %d", answer.ErrorCode, test.want)
			}
		})
	}
}

func TestRegistryPlaysFaults(t *testing.T) {
	r, cl := startTestRegistry(t)
	r.Fault(func(req *http.Request) int {
		if req.URL.Path == "/schemas/types" {
			return http.StatusInternalServerError
		}
		return 0
	})
	if _, err := cl.SupportedTypes(t.Context()); err == nil {
		t.Error("the planned fault did not happen")
	}
	r.Fault(nil)
	if _, err := cl.SupportedTypes(t.Context()); err != nil {
		t.Errorf("after the fault: %v", err)
	}
	if r.Requests()["/schemas/types"] < 2 {
		t.Errorf("requests: %v", r.Requests())
	}
}
