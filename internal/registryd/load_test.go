package registryd

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestALargeRegistryStaysFast is far from exact: its limits are ten times what a loaded machine with two cores needs, without -race. What
// it finds is work that grows with the square of what is there.
func TestALargeRegistryStaysFast(t *testing.T) {
	j := &memJournal{}
	r := open(t, j, Options{})
	step := func(what string, most time.Duration, f func()) {
		t.Helper()
		start := time.Now()
		f()
		took := time.Since(start)
		t.Logf("%-40s %s", what, took)
		if took > most {
			t.Errorf("%s took %s, more than %s", what, took, most)
		}
	}
	step("5,000 schemas", 20*time.Second, func() {
		for i := range 5000 {
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
	step("a subject of 1,000 versions", 60*time.Second, func() {
		for i := range 1000 {
			mustRegister(t, r, "many", version(i))
		}
	})
	send(t, r, "PUT", "/config/many", `{"compatibility":"FULL_TRANSITIVE"}`)
	step("one more, compared with all", 5*time.Second, func() { mustRegister(t, r, "many", version(1000)) })
	step("a look-up that finds nothing", 5*time.Second, func() {
		if status, _ := send(t, r, "POST", "/subjects/many", body(`"int"`)); status != 404 {
			t.Errorf("got %d", status)
		}
	})
	var large strings.Builder
	large.WriteString(`{"type":"record","name":"Large","fields":[`)
	for i := 0; large.Len() < 1<<20; i++ {
		if i > 0 {
			large.WriteString(",")
		}
		fmt.Fprintf(&large, `{"name":"f%d","type":["null","string"],"default":null,"doc":"\"%d\""}`, i, i)
	}
	large.WriteString("]}")
	step("a schema of 1 MiB", 10*time.Second, func() { mustRegister(t, r, "large", body(large.String())) })
	step("and one compared with it", 10*time.Second, func() {
		mustRegister(t, r, "large", body(strings.Replace(large.String(), `"f0"`, `"g0"`, 1)))
	})
	step("all schemas", 20*time.Second, func() {
		if _, text := send(t, r, "GET", "/schemas", ""); strings.Count(text, `"version"`) != 5000+1001+2 {
			t.Errorf("got %d", strings.Count(text, `"version"`))
		}
	})
	step("a start", 20*time.Second, func() {
		if _, text := send(t, open(t, j, Options{}), "GET", "/subjects/many/versions/latest/schema", ""); !strings.Contains(text, "f1000") {
			t.Errorf("got %.100s", text)
		}
	})
}
