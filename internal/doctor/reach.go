package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

// An Endpoint is something that silt connects to.
type Endpoint struct {
	// Host and Port, as in the options.
	Host, Port string
	// TLS says that the connection is encrypted. Roots are the authorities that may sign the certificate, nil the system's; AnyHost says that
	// its name is not compared.
	TLS     bool
	Roots   *x509.CertPool
	AnyHost bool
	// Code is that of a problem with the connection, TLSCode of one with its certificate.
	Code, TLSCode problem.Code
	// Option names where host and port are written, and Trust where authorities are, for what to do.
	Option, Trust string
}

// Addr is host:port.
func (e Endpoint) Addr() string { return net.JoinHostPort(e.Host, e.Port) }

// A World is what the checks use of it; its zero fields are the process's own.
type World struct {
	Lookup func(ctx context.Context, host string) ([]string, error)
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	Now    func() time.Time
}

func (w World) withDefaults() World {
	if w.Lookup == nil {
		w.Lookup = net.DefaultResolver.LookupHost
	}
	if w.Dial == nil {
		w.Dial = new(net.Dialer).DialContext
	}
	if w.Now == nil {
		w.Now = time.Now
	}
	return w
}

// stepTimeout bounds each step of Reach.
const stepTimeout = 10 * time.Second

// Reach resolves the endpoint's name, connects, and looks at its certificate: a finding for each step, those after a failed one skipped.
func Reach(ctx context.Context, e Endpoint, w World) []Finding {
	w = w.withDefaults()
	steps := []struct {
		check string
		run   func(context.Context) Finding
	}{{"dns", e.resolve(w)}, {"tcp", e.connect(w)}}
	if e.TLS {
		steps = append(steps, struct {
			check string
			run   func(context.Context) Finding
		}{"tls", e.shake(w)})
	}
	var out []Finding
	failed := ""
	for _, s := range steps {
		if failed != "" {
			out = append(out, Finding{Check: s.check, Status: Skipped, Subject: e.Addr(), Detail: failed + " failed"})
			continue
		}
		limited, cancel := context.WithTimeout(ctx, stepTimeout)
		f := s.run(limited)
		cancel()
		f.Check, f.Subject = s.check, e.Addr()
		if out = append(out, f); f.Status == Failed {
			failed = s.check
		}
	}
	return out
}

func (e Endpoint) resolve(w World) func(context.Context) Finding {
	return func(ctx context.Context) Finding {
		if ip := net.ParseIP(e.Host); ip != nil {
			return Finding{Detail: "an address, nothing to resolve"}
		}
		addrs, err := w.Lookup(ctx, e.Host)
		if err == nil && len(addrs) == 0 {
			err = errors.New("the name has no address")
		}
		if err != nil {
			f := Finding{Status: Failed, Code: e.Code, Detail: "the name does not resolve: " + dnsReason(err)}
			f.Fix = "check the host in " + e.Option + ", and this machine's resolver (private endpoints need the network's own DNS)"
			return f
		}
		slices.Sort(addrs)
		const shown = 3
		text := strings.Join(addrs[:min(len(addrs), shown)], ", ")
		if len(addrs) > shown {
			text += fmt.Sprintf(" and %d more", len(addrs)-shown)
		}
		return Finding{Detail: text}
	}
}

func dnsReason(err error) string {
	if d, ok := errors.AsType[*net.DNSError](err); ok {
		return d.Err
	}
	return err.Error()
}

func (e Endpoint) connect(w World) func(context.Context) Finding {
	return func(ctx context.Context) Finding {
		from := w.Now()
		conn, err := w.Dial(ctx, "tcp", e.Addr())
		if err != nil {
			f := Finding{Status: Failed, Code: e.Code, Detail: "no connection: " + dialReason(err)}
			f.Fix = "let this machine reach " + e.Addr() + ": firewalls, private endpoints, security groups"
			if errors.Is(err, syscall.ECONNREFUSED) {
				f.Fix = "nothing listens there: check host and port in " + e.Option + ", and that the service runs"
			}
			return f
		}
		took := w.Now().Sub(from)
		_ = conn.Close()
		return Finding{Detail: "connected in " + took.Round(100*time.Microsecond).String()}
	}
}

func dialReason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", stepTimeout)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err.Error()
	}
	return err.Error()
}

func (e Endpoint) shake(w World) func(context.Context) Finding {
	return func(ctx context.Context) Finding {
		conn, err := w.Dial(ctx, "tcp", e.Addr())
		if err != nil {
			return Finding{Status: Failed, Code: e.Code, Detail: "no connection: " + dialReason(err), Fix: "ask again: it was there a moment ago"}
		}
		// The certificate is looked at whatever is wrong with it, and judged by judge.
		t := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: e.Host, InsecureSkipVerify: true})
		defer func() { _ = t.Close() }()
		if err := t.HandshakeContext(ctx); err != nil {
			return e.noTLS(err)
		}
		return e.judge(t.ConnectionState(), w.Now())
	}
}

func (e Endpoint) noTLS(err error) Finding {
	f := Finding{Status: Failed, Code: e.TLSCode, Detail: "the TLS handshake failed: " + err.Error()}
	f.Fix = "the server and silt share no version or cipher of TLS: silt wants TLS 1.2 or later"
	_, record := errors.AsType[tls.RecordHeaderError](err)
	if record || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, context.DeadlineExceeded) {
		f.Detail = "the port does not speak TLS"
		f.Fix = "check the port in " + e.Option + ": it may be that of a plaintext listener"
	}
	return f
}

// judge verifies the chain of certificates by its authority, its dates and its name.
func (e Endpoint) judge(s tls.ConnectionState, now time.Time) Finding {
	if len(s.PeerCertificates) == 0 {
		return Finding{Status: Failed, Code: e.TLSCode, Detail: "the server showed no certificate"}
	}
	leaf := s.PeerCertificates[0]
	o := x509.VerifyOptions{Roots: e.Roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	if !e.AnyHost {
		o.DNSName = e.Host
	}
	for _, c := range s.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	failed := func(detail, fix string, args ...any) Finding {
		return Finding{Status: Failed, Code: e.TLSCode, Detail: detail, Fix: fmt.Sprintf(fix, args...)}
	}
	_, err := leaf.Verify(o)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	const day = "2006-01-02"
	switch {
	case now.After(leaf.NotAfter):
		return failed("the certificate ended on "+leaf.NotAfter.UTC().Format(day), "renew the server's certificate, or set this machine's clock right")
	case now.Before(leaf.NotBefore):
		return failed("the certificate begins on "+leaf.NotBefore.UTC().Format(day), "set this machine's clock right")
	case authority:
		return failed("the certificate comes from an authority that this machine does not trust: "+leaf.Issuer.String(),
			"name the authority's PEM file in %s, or install it on this machine; a proxy that reads TLS shows such certificates, too", e.Trust)
	case name:
		return failed("the certificate is not for "+e.Host+", but for "+names(leaf), "use one of these names in %s", e.Option)
	case err != nil:
		return failed("the certificate does not verify: "+err.Error(), "let the server show a whole and valid chain")
	}
	f := Finding{Detail: fmt.Sprintf("%s, certificate valid until %s", tls.VersionName(s.Version), leaf.NotAfter.UTC().Format(day))}
	if left := leaf.NotAfter.Sub(now); left < expirySoon {
		f.Status, f.Fix = Warning, fmt.Sprintf("renew the server's certificate: it ends in %d days", int(left.Hours()/24))
	}
	return f
}

// names are some of those that a certificate is for.
func names(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no host"
	}
	const shown = 4
	if len(all) > shown {
		all = append(all[:shown], "...")
	}
	return strings.Join(all, ", ")
}

// Clock asks the URL and compares the Date of whatever answer comes. An answer without one gives no finding, and so does none: Reach has
// told of that.
func Clock(ctx context.Context, client *http.Client, url, subject string, now func() time.Time) (Finding, bool) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return Finding{}, false
	}
	sent := now()
	resp, err := client.Do(req)
	if err != nil {
		return Finding{}, false
	}
	_ = resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return Finding{}, false
	}
	return Skew(subject, date, sent, now()), true
}
