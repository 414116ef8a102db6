package stream

import (
	"strings"
	"testing"
)

func partitions(topic string, n int) Offsets {
	o := Offsets{}
	for p := range n {
		o.Set(topic, int32(p), 0)
	}
	return o
}

func TestOffsetsPrintAsSpark4(t *testing.T) {
	tests := []struct {
		o    Offsets
		want string
	}{
		{nil, `{}`},
		{Offsets{"clickstreams": {0: 30, 1: 28}}, `{"clickstreams":{"0":30,"1":28}}`},
		{Offsets{"t": {11: 1, 10: 2, 9: 3}}, `{"t":{"9":3,"10":2,"11":1}}`}, // numeric, not as text
		{Offsets{"b": {0: 1}, "a": {0: 2}}, `{"a":{"0":2},"b":{"0":1}}`},    // hashes 97 and 98: buckets 1 and 2
		{Offsets{"p": {0: 1}, "a": {0: 2}}, `{"p":{"0":1},"a":{"0":2}}`},    // hashes 112 and 97: buckets 0 and 1
	}
	for _, tt := range tests {
		if got := tt.o.JSON(Scala213); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestOffsetsPrintAsSpark3(t *testing.T) {
	// The orders that public Spark 3 checkpoints show (scala.collection.mutable.HashMap).
	for n, want := range map[int]string{2: "1,0", 3: "2,1,0", 4: "2,1,3,0", 5: "2,4,1,3,0", 6: "2,5,4,1,3,0", 8: "2,5,4,7,1,3,6,0",
		10: "8,2,5,4,7,1,9,3,6,0"} {
		o := partitions("t", n)
		text := o.JSON(Scala212)
		got := strings.NewReplacer(`{"t":{`, "", "}}", "", `"`, "", ":0", "").Replace(text)
		if got != want {
			t.Errorf("%d partitions: got %s, want %s", n, got, want)
		}
		if OrderOf(text, o) != Scala212 || OrderOf(o.JSON(Scala213), o) != Scala213 {
			t.Errorf("%d partitions: the order is not found again", n)
		}
	}
}

func TestParseOffsets(t *testing.T) {
	good := Offsets{"t": {0: 23, 1: -1}, "u": {0: -2}}
	got, err := ParseOffsets([]byte(`{"t":{"1":-1,"0":23}, "u":{"0":-2}}`))
	if err != nil || !got.Equal(good) {
		t.Errorf("got %v %v", got, err)
	}
	for _, bad := range []string{``, `[]`, `{"t":1}`, `{"t":{"x":1}}`, `{"t":{"-1":1}}`, `{"t":{"0":1.5}}`, `{"t":{"0":-3}}`,
		`{"t":{"0":"1"}}`,
		`{"t":{"0":1,"0":2}}`, `{"t":{},"t":{}}`, `{"t":{"0":1}} x`, `{"t":{"0":1}`, `{"t":{"0":9223372036854775808}}`} {
		if _, err := ParseOffsets([]byte(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

func FuzzParseOffsets(f *testing.F) {
	f.Add([]byte(`{"clickstreams":{"0":30,"1":28}}`))
	f.Add([]byte(`{"t":{"0":-2}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := ParseOffsets(text)
		if err != nil {
			return
		}
		for _, order := range []Order{Scala213, Scala212} {
			again, err := ParseOffsets([]byte(o.JSON(order)))
			if err != nil || !again.Equal(o) {
				t.Fatalf("%s: %v %v", o.JSON(order), again, err)
			}
		}
	})
}
