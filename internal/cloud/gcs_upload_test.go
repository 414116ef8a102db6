package cloud

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// testPart is a part that is small, and allowed by GCS.
const testPart = 512 << 10

// gcsParts are the bytes of an upload, none of which is like another part's.
func gcsParts(n, rest int) []byte {
	data := make([]byte, n*testPart+rest)
	for i := 0; i < len(data); i += 512 {
		copy(data[i:], fmt.Sprintf("%012d", i))
	}
	return data
}

// againGCS makes a call until it is no transient failure.
func againGCS(g *gcs, call func() error) error {
	for range 6 {
		err := call()
		if err == nil {
			return nil
		}
		if k := g.failure(err).kind; k != transient && k != refused {
			return err
		}
	}
	return fmt.Errorf("it never ends")
}

// sendGCS sends data as a Store does.
func sendGCS(ctx context.Context, g *gcs, key string, data []byte) error {
	var m multipart
	err := againGCS(g, func() (err error) { m, err = g.begin(ctx, key); return err })
	n := 0
	for ; err == nil && len(data) >= testPart; n++ {
		err = againGCS(g, func() error { return m.part(ctx, n, data[:testPart]) })
		data = data[testPart:]
	}
	if err != nil {
		return err
	}
	return againGCS(g, func() error { return m.finish(ctx, n, data) })
}

func TestGCSUploadSurvivesEveryLostRequestAndAnswer(t *testing.T) {
	for _, size := range []struct {
		name        string
		parts, rest int
	}{{"parts and a rest", 2, 1000}, {"parts alone", 1, 0}, {"a rest alone", 0, 10}, {"nothing", 0, 0}} {
		data := gcsParts(size.parts, size.rest)
		for what, name := range map[gcsFault]string{gcsDrop: "dropped", gcsCut: "cut", gcsBusy: "busy", gcsApplied: "applied, then 503"} {
			for broken := 0; ; broken++ {
				f := startFakeGCS(t)
				met := false
				// Whatever broke once breaks when it is asked about, too.
				f.fault = func(n int, _ *http.Request) gcsFault {
					if n == broken || n == broken+2 {
						met = true
						return what
					}
					return gcsPass
				}
				g := f.open("t", nil, Env{})
				if err := sendGCS(t.Context(), g, "k", data); err != nil {
					t.Fatalf("%s, request %d %s: %v\n%s", size.name, broken, name, err, strings.Join(f.requests, "\n"))
				}
				if !bytes.Equal(f.objects["t/k"].data, data) {
					t.Fatalf("%s, request %d %s: other bytes", size.name, broken, name)
				}
				f.server.Close()
				if !met {
					break
				}
			}
		}
	}
}

func TestGCSUploadSendsWhatASessionDidNotKeep(t *testing.T) {
	data := gcsParts(2, 5)
	f := startFakeGCS(t)
	f.keep = testPart / 2
	if err := sendGCS(t.Context(), f.open("", nil, Env{}), "k", data); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.objects["k"].data, data) {
		t.Error("other bytes")
	}
}

func TestGCSUploadReplacesNothing(t *testing.T) {
	f := startFakeGCS(t)
	g := f.open("", nil, Env{})
	m, err := g.begin(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.put(t.Context(), "k", pieces{[]byte("another's")}, true); err != nil {
		t.Fatal(err)
	}
	if err := m.finish(t.Context(), 0, []byte("ours")); g.failure(err).kind != exists {
		t.Errorf("got %v, want exists", err)
	}
	if got := string(f.objects["k"].data); got != "another's" {
		t.Errorf("got %q", got)
	}
}

// A session that ended with the object, and is forgotten, says no more than one that was given up: the object tells.
func TestGCSUploadFindsItsObjectWhenTheSessionIsGone(t *testing.T) {
	for _, tt := range []struct {
		name, there string
		want        kind
		ok          bool
	}{
		{"the object is ours", "ours", 0, true},
		{"another's", "another's", exists, false},
		{"another's of the same size", "ouRs", exists, false},
		{"there is none", "", uploadGone, false},
	} {
		f := startFakeGCS(t)
		g := f.open("", nil, Env{})
		m, err := g.begin(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		f.fault = func(n int, _ *http.Request) gcsFault {
			if n == 1 {
				return gcsDrop
			}
			return gcsPass
		}
		if err := m.finish(t.Context(), 0, []byte("ours")); g.failure(err).kind != transient {
			t.Fatalf("got %v, want transient", err)
		}
		f.change(func() {
			clear(f.sessions)
			if tt.there != "" {
				f.objects["k"] = fakeObject{data: []byte(tt.there)}
			}
		})
		if err := m.finish(t.Context(), 0, []byte("ours")); (err == nil) != tt.ok || err != nil && g.failure(err).kind != tt.want {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestGCSUploadIsGone(t *testing.T) {
	f := startFakeGCS(t)
	g := f.open("", nil, Env{})
	begin := func() multipart {
		m, err := g.begin(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	gone := func(name string, err error) {
		t.Helper()
		if err == nil || g.failure(err).kind != uploadGone {
			t.Errorf("%s: got %v, want uploadGone", name, err)
		}
	}
	part := gcsParts(1, 0)

	expired := begin()
	f.change(func() { clear(f.sessions) })
	gone("a part to a session that expired", expired.part(t.Context(), 0, part))
	gone("the end of one", expired.finish(t.Context(), 0, nil))
	if err := expired.cancel(t.Context()); err != nil {
		t.Errorf("cancel: %v", err)
	}

	cancelled := begin()
	if err := cancelled.cancel(t.Context()); err != nil || len(f.sessions) != 0 {
		t.Errorf("cancel: %v, %d sessions", err, len(f.sessions))
	}
	gone("a part after a cancel", cancelled.part(t.Context(), 0, part))

	// A server may end a session when it is asked what that has, as fake-gcs-server does.
	ended := begin()
	f.change(func() {
		for _, s := range f.sessions {
			s.done = &fakeObject{}
		}
	})
	gone("a part to a session that ended", ended.part(t.Context(), 0, part))
	gone("an object that lacks bytes", ended.finish(t.Context(), 0, []byte("x")))

	forgetful := begin().(*gcsUpload)
	forgetful.unsure = true
	gone("a session that lost parts", forgetful.part(t.Context(), 1, part))
}

func TestGCSUploadSaysNothingOfItsSession(t *testing.T) {
	f := startFakeGCS(t)
	g := f.open("", nil, Env{})
	m, err := g.begin(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	for what, name := range map[gcsFault]string{gcsDrop: "dropped", gcsBusy: "busy"} {
		f.change(func() { f.fault = func(int, *http.Request) gcsFault { return what } })
		for call, err := range map[string]error{"finish": m.finish(t.Context(), 0, nil), "cancel": m.cancel(t.Context())} {
			if err == nil || strings.Contains(err.Error(), "secret-session") || strings.Contains(err.Error(), "upload_id") {
				t.Errorf("%s, %s: got %v", name, call, err)
			}
		}
	}
	f.server.Close()
	if err := m.finish(t.Context(), 0, nil); err == nil || strings.Contains(err.Error(), "upload_id") {
		t.Errorf("no server: got %v", err)
	}
}

func TestGCSSessionRanges(t *testing.T) {
	for _, tt := range []struct {
		text string
		have int64
		ok   bool
	}{
		{"", 0, true}, // nothing yet
		{"bytes=0-0", 1, true},
		{"bytes=0-8388607", 8 << 20, true},
		{"bytes=1-2", 0, false},
		{"0-2", 0, false},
		{"bytes=0-", 0, false},
		{"bytes=0--1", 0, false},
		{"bytes=0-99999999999999999999", 0, false},
	} {
		if have, ok := sessionRange(tt.text); ok != tt.ok || ok && have != tt.have {
			t.Errorf("%q: got %d, %v, want %d, %v", tt.text, have, ok, tt.have, tt.ok)
		}
	}
}
