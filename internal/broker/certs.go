package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/siltlake/silt/internal/problem"
)

const (
	caYears    = 10
	serverDays = 90
	// A certificate is renewed once less than this is left of it. The authority is renewed at a start only: clients have to be told.
	caRenewal     = 365 * 24 * time.Hour
	serverRenewal = 30 * 24 * time.Hour
)

// certificates are an authority of this directory and the server's certificate that it signs. Get may be called concurrently.
type certificates struct {
	dir  string
	host string // an address beside loopback's that the certificate is for
	now  func() time.Time

	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey

	mu     sync.Mutex
	server *tls.Certificate // Leaf is set
}

// openCertificates takes over the certificates of a directory; it makes what is missing, or will not last.
func openCertificates(dir, host string, now func() time.Time) (*certificates, error) {
	c := &certificates{dir: dir, host: host, now: now}
	if err := c.openCA(); err != nil {
		return nil, err
	}
	server, err := readPair(filepath.Join(dir, serverFile), filepath.Join(dir, serverFile))
	if err == nil && server.Leaf.CheckSignatureFrom(c.ca) == nil && c.lasts(server.Leaf) {
		c.server = server
		return c, nil
	}
	// Whatever is wrong with it, another one is as good.
	return c, c.renew()
}

func (c *certificates) openCA() error {
	certFile, keyFile := filepath.Join(c.dir, caFile), filepath.Join(c.dir, caKeyFile)
	pair, err := readPair(certFile, keyFile)
	switch {
	case err == nil && pair.Leaf.NotAfter.Sub(c.now()) > caRenewal:
		key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
		if !ok || !pair.Leaf.IsCA {
			return problem.New(problem.CorruptState, "not the certificate authority that the broker made").At(problem.File(certFile)).
				Fix("remove %s and %s: the broker then makes another authority, which clients have to be given", certFile, keyFile)
		}
		c.ca, c.caKey = pair.Leaf, key
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.CorruptState, "the broker's certificate authority cannot be read").At(problem.File(certFile)).Because(err).
			Fix("remove %s and %s: the broker then makes another authority, which clients have to be given", certFile, keyFile)
	}
	if c.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	now := c.now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "silt embedded broker " + now.UTC().Format("2006-01-02")},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(caYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, c.caKey.Public(), c.caKey)
	if err != nil {
		return err
	}
	if c.ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	key, err := encodeKey(c.caKey)
	if err != nil {
		return err
	}
	// The key first: a certificate without its key would not be taken over.
	return errors.Join(writeFile(keyFile, key), writeFile(certFile, encodeCert(der)))
}

// renew makes another server certificate and key. REQUIRES: c.mu, or that nobody else has c.
func (c *certificates) renew() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := c.now()
	end := now.AddDate(0, 0, serverDays)
	if end.After(c.ca.NotAfter) {
		end = c.ca.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: c.addresses(),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.ca, key.Public(), c.caKey)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	chain := slices.Concat(keyPEM, encodeCert(der), encodeCert(c.ca.Raw))
	if err := writeFile(filepath.Join(c.dir, serverFile), chain); err != nil {
		return err
	}
	c.server = &tls.Certificate{Certificate: [][]byte{der, c.ca.Raw}, PrivateKey: key, Leaf: leaf}
	return nil
}

func (c *certificates) addresses() []net.IP {
	ips := []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}
	if ip := net.ParseIP(c.host); ip != nil && !slices.ContainsFunc(ips, ip.Equal) {
		ips = append(ips, ip)
	}
	return ips
}

// lasts says whether a server certificate is good for a while, and for our address.
func (c *certificates) lasts(leaf *x509.Certificate) bool {
	return leaf.NotAfter.Sub(c.now()) > serverRenewal && !slices.ContainsFunc(c.addresses(), func(ip net.IP) bool {
		return leaf.VerifyHostname(ip.String()) != nil
	})
}

// get is the GetCertificate of the listener: a broker that runs for months renews its certificate between two handshakes.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lasts(c.server.Leaf) {
		if err := c.renew(); err != nil && c.now().After(c.server.Leaf.NotAfter) {
			return nil, err
		}
	}
	return c.server, nil
}

func (c *certificates) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}

func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil && pair.Leaf == nil {
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	return &pair, err
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// serial is random, as RFC 5280 section 4.1.2.2 wants it: positive, at most 20 bytes.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}
