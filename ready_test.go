package silt

import (
	"fmt"
	"slices"
	"testing"
)

func TestReadinessIsToldAtEveryChangeAndOfAllThatIsWaitedFor(t *testing.T) {
	var got []string
	r := newReadiness(func(ready bool, why string) { got = append(got, fmt.Sprint(ready, " ", why)) })
	for _, step := range []struct {
		part  string
		ready bool
		why   string
	}{
		{"the store of s3://b/t", true, ""}, // it was never anything else
		{theQuery, true, ""},
		{theQuery, true, ""},
		{"the store of s3://b/t", false, "status 503"},
		{theQuery, false, "outage"},
		{theQuery, false, "outage"},
		{theQuery, false, "another outage"},
		{"the store of s3://b/t", true, ""},
		{theQuery, true, ""},
	} {
		r.set(step.part, step.ready, step.why)
	}
	want := []string{
		"true ",
		"false the store of s3://b/t: status 503",
		"false the query: outage; the store of s3://b/t: status 503",
		"false the query: another outage; the store of s3://b/t: status 503",
		"false the query: another outage",
		"true ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	newReadiness(nil).set(theQuery, true, "") // nobody listens
}
