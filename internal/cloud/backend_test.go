package cloud

import (
	"testing"
	"testing/iotest"
)

func TestPiecesReadAsOne(t *testing.T) {
	for _, p := range []pieces{nil, {nil}, {[]byte("one")}, {[]byte("one, "), []byte("two, "), nil, []byte("three")}} {
		var want []byte
		for _, b := range p {
			want = append(want, b...)
		}
		if err := iotest.TestReader(p.reader(), want); err != nil {
			t.Errorf("%q: %v", want, err)
		}
	}
}
