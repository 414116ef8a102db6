package main

import (
	"bytes"
	"testing"

	"github.com/siltlake/silt"
	"github.com/siltlake/silt/internal/kafka"
	"github.com/siltlake/silt/internal/secret"
)

// TestRecordsAreShownAsTheyAre: a URL with a token is data there, while silt's own secrets stay hidden.
func TestRecordsAreShownAsTheyAre(t *testing.T) {
	var out bytes.Buffer
	a := newApp(process{stdout: &out, stderr: &out, width: func() int { return 80 }})
	a.secrets.Add(secret.New("hunter2"))
	w := (&topicPeekCmd{Output: rawForm}).writer(a)
	if err := w.row(silt.Row{Record: kafka.Record{Value: []byte("https://h/?token=abc hunter2")}}); err != nil {
		t.Fatal(err)
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	if want := "https://h/?token=abc [REDACTED]\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
