package registryd

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var large = flag.Bool("large", false, "test with the full numbers")

// TestALargeRegistryStaysFast is far from exact: its limit is many times what a busy machine needs. What it finds is work that grows
// with the square of what is there. With -large it has the numbers that the documentation promises.
func TestALargeRegistryStaysFast(t *testing.T) {
	schemas, versions, size := 500, 100, 128<<10
	if *large {
		schemas, versions, size = 5000, 1000, 1<<20
	}
	j := &memJournal{}
	r := open(t, j, Options{})
	const most = 60 * time.Second
	step := func(what string, f func()) {
		t.Helper()
		start := time.Now()
		f()
		took := time.Since(start)
		t.Logf("%-40s %s", what, took)
		if took > most {
			t.Errorf("%s took %s, more than %s", what, took, most)
		}
	}
	step(fmt.Sprint(schemas, " subjects"), func() {
		for i := range schemas {
			mustRegister(t, r, fmt.Sprintf("topic-%d-value", i), body(fmt.Sprintf(`{"type":"record","name":"R","fields":[{"name":"f%d","type":"int"}]}`, i)))
		}
	})
	version := func(i int) string {
		var fields []string
		for k := range i + 1 {
			fields = append(fields, fmt.Sprintf(`{"name":"f%d","type":"int","default":0}`, k))
		}
		return body(`{"type":"record","name":"V","fields":[` + strings.Join(fields[max(0, len(fields)-50):], ",") + `]}`)
	}
	send(t, r, "PUT", "/config/many", `{"compatibility":"FULL"}`)
	step(fmt.Sprint("a subject of ", versions, " versions"), func() {
		for i := range versions {
			mustRegister(t, r, "many", version(i))
		}
	})
	send(t, r, "PUT", "/config/many", `{"compatibility":"FULL_TRANSITIVE"}`)
	step("one more, compared with all", func() { mustRegister(t, r, "many", version(versions)) })
	step("a look-up that finds nothing", func() {
		if status, _ := send(t, r, "POST", "/subjects/many", body(`"int"`)); status != 404 {
			t.Errorf("got %d", status)
		}
	})
	var text strings.Builder
	text.WriteString(`{"type":"record","name":"Large","fields":[`)
	for i := 0; text.Len() < size; i++ {
		if i > 0 {
			text.WriteString(",")
		}
		fmt.Fprintf(&text, `{"name":"f%d","type":["null","string"],"default":null,"doc":"\"%d\""}`, i, i)
	}
	text.WriteString("]}")
	step(fmt.Sprint("a schema of ", size, " bytes"), func() { mustRegister(t, r, "large", body(text.String())) })
	step("and one compared with it", func() {
		mustRegister(t, r, "large", body(strings.Replace(text.String(), `"f0"`, `"g0"`, 1)))
	})
	step("all schemas", func() {
		if _, text := send(t, r, "GET", "/schemas", ""); strings.Count(text, `"version"`) != schemas+versions+1+2 {
			t.Errorf("got %d", strings.Count(text, `"version"`))
		}
	})
	step("a start", func() {
		if _, text := send(t, open(t, j, Options{}), "GET", "/subjects/many/versions/latest/schema", ""); !strings.Contains(text, fmt.Sprint(`"f`, versions, `"`)) {
			t.Errorf("got %.100s", text)
		}
	})
}
