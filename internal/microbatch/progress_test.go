package microbatch

import (
	"encoding/json"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/siltlake/silt/internal/stream"
)

// Progress of real Spark 4.1.1 runs, as the JVM printed it: what is read from it is printed again, byte for byte.
func TestProgressIsSparksByteForByte(t *testing.T) {
	files, err := filepath.Glob("testdata/spark4-*-batch*.json")
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		want, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			ID, RunID, Name, Timestamp           string
			BatchID, BatchDuration, NumInputRows int64
			InputRowsPerSecond                   float64
			DurationMs                           map[string]int64
			Sources                              []struct {
				Description                          string
				StartOffset, EndOffset, LatestOffset json.RawMessage
			}
			Sink struct{ Description string }
		}
		if err := json.Unmarshal(want, &s); err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, s.Timestamp)
		if err != nil {
			t.Fatal(err)
		}
		offsets := func(text json.RawMessage) stream.Offsets {
			if string(text) == "null" {
				return nil
			}
			o, err := stream.ParseOffsets(text)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		src := s.Sources[0]
		p := Progress{ID: s.ID, RunID: s.RunID, Name: s.Name, Timestamp: at, BatchID: s.BatchID,
			BatchDuration: time.Duration(s.BatchDuration) * time.Millisecond,
			NumInputRows:  s.NumInputRows, InputRowsPerSecond: s.InputRowsPerSecond,
			ProcessedRowsPerSecond: float64(s.NumInputRows) / (float64(s.BatchDuration) / 1000),
			DurationMs:             s.DurationMs, Source: src.Description, Sink: s.Sink.Description, Start: offsets(src.StartOffset),
			End: offsets(src.EndOffset), Latest: offsets(src.LatestOffset)}
		got, err := p.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s:\ngot  %s\nwant %s", f, got, want)
		}
	}
}

func TestProgressOmitsWhatSparkOmits(t *testing.T) {
	p := Progress{ID: "i", RunID: "r", Timestamp: time.UnixMilli(0), InputRowsPerSecond: math.Inf(1),
		ProcessedRowsPerSecond: math.NaN(), Source: "a\"\\\n\x01<é>", Sink: "s"}
	got, err := p.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"i","runId":"r","name":null,"timestamp":"1970-01-01T00:00:00.000Z","batchId":0,"batchDuration":0,` +
		`"numInputRows":0,"stateOperators":[],"sources":[{"description":"a\"\\\n\u0001<é>","startOffset":null,"endOffset":null,` +
		`"latestOffset":null,"numInputRows":0}],"sink":{"description":"s","numOutputRows":-1}}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.End = ofT(3)
	if got := string(p.appendMetrics(nil)); got != "" {
		t.Errorf("what is latest is not known: %s", got)
	}
	if !json.Valid(got) {
		t.Error("it is not JSON")
	}
}

func TestRatesAreRoundedHalfUp(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0", 3.5: "3.5", 3.45: "3.5", 3.4499: "3.4", 0.05: "0.1", 0.04: "0.0",
		602.4096385542168: "602.4", 9.95: "10.0", 99999.96: "100000.0",
		12345678.94: "12345678.9", 1e15: "1000000000000000.0", -0.04: "0.0", -1.25: "-1.3", 1e-9: "0.0", 2.675: "2.7"} {
		if got := tenths(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64Range(0, 1e12).Draw(t, "v")
		exact, _ := new(big.Rat).SetString(strconv.FormatFloat(v, 'f', -1, 64))
		got, ok := new(big.Rat).SetString(tenths(v))
		if !ok {
			t.Fatal(tenths(v))
		}
		diff := new(big.Rat).Sub(got, exact) // in (-1/20, 1/20]
		if diff.Cmp(big.NewRat(1, 20)) > 0 || diff.Cmp(big.NewRat(-1, 20)) <= 0 {
			t.Fatalf("%v: got %s", v, tenths(v))
		}
	})
}

func TestOffsetsBehindLatest(t *testing.T) {
	p := Progress{End: ofT(10, 20), Latest: ofT(10, 25, 7)} // a partition that was not read yet counts from 0
	const want = `,"metrics":{"avgOffsetsBehindLatest":"4.0","maxOffsetsBehindLatest":"7","minOffsetsBehindLatest":"0"}`
	if got := string(p.appendMetrics(nil)); got != want {
		t.Error(got)
	}
	if got := lag(p.End, p.Latest); got != 12 {
		t.Error(got)
	}
}
