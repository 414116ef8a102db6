package httpd

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/siltlake/silt/internal/secret"
)

// A Login is an API key with its secret.
type Login struct{ Key, Secret secret.Secret }

// A Guard knows who may call: by basic auth, or everyone if there are no logins. It keeps digests, which are compared in the same time
// whatever was sent.
type Guard struct{ logins [][sha256.Size]byte }

// NewGuard admits the logins.
func NewGuard(logins ...Login) Guard {
	var g Guard
	for _, l := range logins {
		g.logins = append(g.logins, digest(l.Key.Reveal(), l.Secret.Reveal()))
	}
	return g
}

func digest(key, secret string) [sha256.Size]byte {
	k, s := sha256.Sum256([]byte(key)), sha256.Sum256([]byte(secret))
	return sha256.Sum256(append(k[:], s[:]...))
}

// Open says that everyone may call.
func (g Guard) Open() bool { return len(g.logins) == 0 }

// Admits says whether the request's login is one of the guard's.
func (g Guard) Admits(req *http.Request) bool {
	key, password, _ := req.BasicAuth()
	got := digest(key, password)
	found := 0
	for _, want := range g.logins {
		found |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return found == 1 || g.Open()
}

// SameOrigin refuses what a page of another site makes a browser send: it could write without seeing the answer.
func SameOrigin(req *http.Request) error {
	if http.NewCrossOriginProtection().Check(req) != nil {
		return errors.New("a page of another site may not call this")
	}
	return nil
}

// ByAddress refuses a request whose Host is a name other than localhost: a page could read answers by giving its own name the address of
// this host.
func ByAddress(req *http.Request) error {
	host := req.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil && !strings.EqualFold(host, "localhost") {
		return errors.New("this answers by its address or localhost only")
	}
	return nil
}

// Handler lets what the guard admits through to a service of the loopback interface. Refusals are JSON as Confluent's services write it.
func (g Guard) Handler(realm string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if !g.Admits(req) {
			h.Set("WWW-Authenticate", `Basic realm="`+realm+`"`)
			refuse(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		for _, check := range []func(*http.Request) error{SameOrigin, ByAddress} {
			if err := check(req); err != nil {
				refuse(w, http.StatusForbidden, err.Error())
				return
			}
		}
		next.ServeHTTP(w, req)
	})
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}{status, message})
}
