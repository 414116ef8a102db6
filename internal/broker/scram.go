package broker

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// The mechanisms, in the order in which answers list them.
const (
	mechPlain    = "PLAIN"
	mechScram256 = "SCRAM-SHA-256"
	mechScram512 = "SCRAM-SHA-512"
)

// scramIterations is Apache Kafka's default and least (ScramMechanism).
const scramIterations = 4096

// A credential is what a server keeps of a password (RFC 5802 section 3). The password cannot be had from it but by guessing.
type credential struct {
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	StoredKey  []byte `json:"storedKey"`
	ServerKey  []byte `json:"serverKey"`
}

func hashOf(mechanism string) func() hash.Hash {
	if mechanism == mechScram512 {
		return sha512.New
	}
	return sha256.New
}

// newCredential derives a credential from a password with a random salt.
func newCredential(mechanism, password string) (*credential, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	salted, err := saltedPassword(mechanism, password, salt, scramIterations)
	if err != nil {
		return nil, err
	}
	return credentialOf(mechanism, salt, scramIterations, salted), nil
}

func saltedPassword(mechanism, password string, salt []byte, iterations int) ([]byte, error) {
	h := hashOf(mechanism)
	return pbkdf2.Key(h, password, salt, iterations, h().Size())
}

// credentialOf derives the keys from a salted password, which is what clients send that change one (KIP-554).
func credentialOf(mechanism string, salt []byte, iterations int, salted []byte) *credential {
	h := hashOf(mechanism)
	clientKey := mac(h, salted, "Client Key")
	stored := h()
	stored.Write(clientKey)
	return &credential{
		Salt: bytes.Clone(salt), Iterations: iterations,
		StoredKey: stored.Sum(nil), ServerKey: mac(h, salted, "Server Key"),
	}
}

func mac(h func() hash.Hash, key []byte, message string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

// matches says whether the password is the credential's, in a time that does not tell how nearly.
func (c *credential) matches(mechanism, password string) bool {
	salted, err := saltedPassword(mechanism, password, c.Salt, c.Iterations)
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(credentialOf(mechanism, c.Salt, c.Iterations, salted).StoredKey, c.StoredKey) == 1
}

// scramFirst is a client's first message (RFC 5802 section 7).
type scramFirst struct {
	gs2   string // the header that the last message has to repeat, "n,," as a rule
	bare  string
	user  string
	nonce string
}

var errScram = errors.New("malformed SCRAM message")

// parseScramFirst parses gs2-header "," "n=" user "," "r=" nonce. Extensions are refused: the one that Apache Kafka knows, tokenauth, is
// for delegation tokens.
func parseScramFirst(msg string) (scramFirst, error) {
	parts := strings.SplitN(msg, ",", 3)
	// "p=" asks for channel binding, which no Kafka broker has.
	if len(parts) != 3 || parts[0] != "n" && parts[0] != "y" || parts[1] != "" && !strings.HasPrefix(parts[1], "a=") {
		return scramFirst{}, errScram
	}
	f := scramFirst{gs2: parts[0] + "," + parts[1] + ",", bare: parts[2]}
	user, rest, ok := strings.Cut(f.bare, ",")
	name, okName := strings.CutPrefix(user, "n=")
	nonce, okNonce := strings.CutPrefix(rest, "r=")
	if !ok || !okName || !okNonce || nonce == "" || strings.ContainsRune(nonce, ',') {
		return scramFirst{}, errScram
	}
	var err error
	if f.user, err = scramName(name); err != nil {
		return scramFirst{}, err
	}
	if authzid, ok := strings.CutPrefix(parts[1], "a="); ok && authzid != name {
		return scramFirst{}, errors.New("authorization id differs from user name")
	}
	f.nonce = nonce
	return f, nil
}

// scramName undoes the escapes of a name: =2C for a comma and =3D for an equals sign, nothing else.
func scramName(s string) (string, error) {
	out := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s)
	if s == "" || strings.Count(s, "=") != strings.Count(s, "=2C")+strings.Count(s, "=3D") {
		return "", errScram
	}
	return out, nil
}

// A scramServer is one login by SCRAM, between its two steps.
type scramServer struct {
	mechanism string
	first     scramFirst
	cred      *credential
	nonce     string // the client's and ours
	message   string // our first message
}

// newScramServer answers a first message. cred is the user's.
func newScramServer(mechanism string, first scramFirst, cred *credential, nonce string) *scramServer {
	s := &scramServer{mechanism: mechanism, first: first, cred: cred, nonce: first.nonce + nonce}
	s.message = fmt.Sprintf("r=%s,s=%s,i=%s", s.nonce, base64.StdEncoding.EncodeToString(cred.Salt), strconv.Itoa(cred.Iterations))
	return s
}

// finish checks the proof of a client's last message and returns the server's: "v=" and a signature, which proves to the client that the
// server knows the password too.
func (s *scramServer) finish(msg string) (string, bool) {
	withoutProof, proof64, ok := cutLast(msg, ",p=")
	if !ok {
		return "", false
	}
	want := "c=" + base64.StdEncoding.EncodeToString([]byte(s.first.gs2)) + ",r=" + s.nonce
	if subtle.ConstantTimeCompare([]byte(withoutProof), []byte(want)) != 1 {
		return "", false
	}
	proof, err := base64.StdEncoding.DecodeString(proof64)
	h := hashOf(s.mechanism)
	if err != nil || len(proof) != h().Size() {
		return "", false
	}
	auth := s.first.bare + "," + s.message + "," + withoutProof
	key := make([]byte, len(proof))
	subtle.XORBytes(key, proof, mac(h, s.cred.StoredKey, auth))
	stored := h()
	stored.Write(key)
	if subtle.ConstantTimeCompare(stored.Sum(nil), s.cred.StoredKey) != 1 {
		return "", false
	}
	return "v=" + base64.StdEncoding.EncodeToString(mac(h, s.cred.ServerKey, auth)), true
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
