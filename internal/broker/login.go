package broker

import (
	"crypto/rand"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// mechanisms are what SaslHandshake lists.
var mechanisms = []string{mechPlain, mechScram256, mechScram512}

// A login is the conversation by which a connection learns its user: a handshake that names the mechanism, then tokens (KIP-43, KIP-152).
// It does no I/O.
type login struct {
	users *users
	// mechanism is "" before the handshake. raw says that tokens come bare, without SaslAuthenticate: handshake version 0.
	mechanism string
	raw       bool
	scram     *scramServer // between the two steps of SCRAM
	user      string       // once done
	done      bool
}

// A loginError is an answer to a wrong login; its text goes to the client. The texts are Apache Kafka's.
type loginError struct {
	code int16
	text string
}

func (e *loginError) Error() string { return e.text }

func refused(text string) error { return &loginError{kerr.SaslAuthenticationFailed.Code, text} }

// handshake takes the mechanism and returns the error code of the answer.
func (l *login) handshake(version int16, mechanism string) int16 {
	if l.mechanism != "" || l.done {
		return kerr.IllegalSaslState.Code
	}
	switch mechanism {
	case mechPlain, mechScram256, mechScram512:
		l.mechanism, l.raw = mechanism, version == 0
		return 0
	}
	return kerr.UnsupportedSaslMechanism.Code
}

// token takes a client's token and returns the server's. A *loginError ends the conversation.
func (l *login) token(in []byte) ([]byte, error) {
	switch {
	case l.mechanism == "" || l.done:
		return nil, &loginError{kerr.IllegalSaslState.Code, "SaslAuthenticate request received before SaslHandshake, or after the login"}
	case l.mechanism == mechPlain:
		return nil, l.plain(string(in))
	case l.scram == nil:
		return l.scramFirst(string(in))
	}
	out, ok := l.scram.finish(string(in))
	if !ok {
		return nil, refused("Authentication failed during authentication due to invalid credentials with SASL mechanism " + l.mechanism)
	}
	l.done, l.user = true, l.scram.first.user
	return []byte(out), nil
}

// plain takes authzid NUL user NUL password (RFC 4616); an authzid must be the user.
func (l *login) plain(token string) error {
	parts := strings.Split(token, "\x00")
	switch {
	case len(parts) != 3:
		return refused("Invalid SASL/PLAIN response: expected 3 tokens")
	case parts[1] == "":
		return refused("Authentication failed: username not specified")
	case parts[2] == "":
		return refused("Authentication failed: password not specified")
	case parts[0] != "" && parts[0] != parts[1]:
		return refused("Authentication failed: Client requested an authorization id that is different from username")
	case !l.users.plain(parts[1], parts[2]):
		return refused("Authentication failed: Invalid username or password")
	}
	l.done, l.user = true, parts[1]
	return nil
}

func (l *login) scramFirst(msg string) ([]byte, error) {
	wrong := refused("Authentication failed during authentication due to invalid credentials with SASL mechanism " + l.mechanism)
	first, err := parseScramFirst(msg)
	if err != nil {
		return nil, wrong
	}
	cred := l.users.scram(first.user, l.mechanism)
	if cred == nil {
		return nil, wrong
	}
	l.scram = newScramServer(l.mechanism, first, cred, rand.Text())
	return []byte(l.scram.message), nil
}

// loginFailure returns the code and the text that a client is told.
func loginFailure(err error) (int16, string) {
	if e, ok := errors.AsType[*loginError](err); ok {
		return e.code, e.text
	}
	return kerr.SaslAuthenticationFailed.Code, "Authentication failed"
}
