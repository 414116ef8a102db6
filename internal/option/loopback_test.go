package option

import "testing"

func TestLoopbackIsThisMachineOnly(t *testing.T) {
	tests := []struct {
		host string
		want bool
	}{
		{"localhost", true}, {"LOCALHOST", true}, {"127.0.0.1", true}, {"127.8.9.10", true}, {"::1", true},
		{"localhost.example", false}, // a name that somebody else may own
		{"127.0.0.1.example", false},
		{"0.0.0.0", false}, // every address of this machine, which is no loopback
		{"10.0.0.1", false}, {"example.com", false}, {"", false},
	}
	for _, tt := range tests {
		if got := Loopback(tt.host); got != tt.want {
			t.Errorf("%q: got %v", tt.host, got)
		}
	}
}
