package broker

import (
	"encoding/base64"
	"testing"
)

// TestSCRAMFollowsItsRFC is the example of RFC 7677, section 3.
func TestSCRAMFollowsItsRFC(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	salted, err := saltedPassword(mechScram256, "pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	first, err := parseScramFirst("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
	if err != nil {
		t.Fatal(err)
	}
	s := newScramServer(mechScram256, first, credentialOf(mechScram256, salt, 4096, salted), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
	if want := "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"; s.message != want {
		t.Errorf("got  %s\nwant %s", s.message, want)
	}
	const last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	got, ok := s.finish(last)
	if want := "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="; !ok || got != want {
		t.Errorf("got %s %v, want %s", got, ok, want)
	}
	for _, wrong := range []string{
		last[:len(last)-2] + "A=", // another proof
		"c=eSws" + last[6:],       // another channel binding
		"c=biws,r=x" + last[68:],  // another nonce
		"c=biws", "", "p=", last + ",p=",
	} {
		if _, ok := s.finish(wrong); ok {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestFirstMessages(t *testing.T) {
	tests := []struct {
		msg, user string // "" refused
	}{
		{"n,,n=user,r=x", "user"},
		{"y,,n=user,r=x", "user"},                    // a client that could bind channels
		{"n,a=user,n=user,r=x", "user"},              // an authorization id that is the user
		{"n,a=other,n=user,r=x", ""},                 // and one that is not
		{"n,,n=a=2Cb=3Dc,r=x", "a,b=c"},              // escapes
		{"n,,n=a=2cb,r=x", ""},                       // no other escapes
		{"p=tls-unique,,n=user,r=x", ""},             // channel binding
		{"n,,n=user,r=x,tokenauth=true", ""},         // delegation tokens
		{"n,,n=,r=x", ""},                            // no user
		{"n,,n=user,r=", ""},                         // no nonce
		{"n,,m=ext,n=user,r=x", ""},                  // a mandatory extension
		{"", ""}, {"n", ""}, {"n,,", ""}, {",,", ""}, // cut off
	}
	for _, tt := range tests {
		f, err := parseScramFirst(tt.msg)
		if f.user != tt.user || (err == nil) != (tt.user != "") {
			t.Errorf("%q: got %q, %v, want %q", tt.msg, f.user, err, tt.user)
		}
	}
}
