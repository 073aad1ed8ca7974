package holdfast_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority makes one whose own certificate is valid until then.
func newAuthority(t *testing.T, until time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Authority"},
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: until,
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

// issue makes a certificate for 127.0.0.1 that is valid now, unless change
// makes it another one.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// trust is a client's configuration that trusts these alone.
func trust(as ...*authority) *tls.Config {
	pool := x509.NewCertPool()
	for _, a := range as {
		pool.AddCert(a.cert)
	}
	return &tls.Config{RootCAs: pool}
}

var nextYear = time.Now().AddDate(1, 0, 0)

// certificate is a server with the certificate that change makes, of an
// authority that the client trusts.
func certificate(change func(*x509.Certificate)) func(*testing.T, *holdfast.Options) string {
	return func(t *testing.T, o *holdfast.Options) string {
		a := newAuthority(t, nextYear)
		o.TLSConfig = trust(a)
		return tlsServer(t, a.issue(t, change))
	}
}

func tlsServer(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	s := holdfasttest.NewTLSServer(listen(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	t.Cleanup(s.Close)
	return s.URL() + "stream"
}

func TestFailuresTLSTrust(t *testing.T) {
	rows := []failure{
		{cause: "unknown authority", decision: holdfast.DecisionRetrySlowly,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.TLSConfig = trust()
				return tlsServer(t, newAuthority(t, nextYear).issue(t, nil))
			},
			hint: []string{`comes from "Test Authority", whom this host does not trust`, "add that root to TLSConfig.RootCAs", "captive portal"}},
		{cause: "wrong host", decision: holdfast.DecisionStop,
			make: certificate(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"www.example.net"} }),
			hint: []string{`the certificate is for "www.example.net", not for "127.0.0.1"`, "check the host in the URL"}},
		{cause: "expired", decision: holdfast.DecisionRetrySlowly,
			make: certificate(func(c *x509.Certificate) { c.NotAfter = time.Date(2020, 2, 3, 4, 5, 0, 0, time.UTC) }),
			hint: []string{"was valid until 2020-02-03 04:05 UTC", "this host's clock says", "renew the certificate, or set the clock"}},
		{cause: "not yet valid", decision: holdfast.DecisionRetrySlowly,
			make: certificate(func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Date(2190, 2, 3, 4, 5, 0, 0, time.UTC), time.Date(2191, 1, 1, 0, 0, 0, 0, time.UTC)
			}),
			hint: []string{"is valid from 2190-02-03 04:05 UTC", "set the clock"}},
		{cause: "the authority has expired", decision: holdfast.DecisionRetrySlowly,
			make: func(t *testing.T, o *holdfast.Options) string {
				a := newAuthority(t, time.Now().AddDate(0, -1, 0))
				o.TLSConfig = trust(a)
				return tlsServer(t, a.issue(t, nil))
			},
			hint: []string{"a certificate above that of 127.0.0.1:", "renew the chain, or set the clock"}},
		{cause: "not a certificate for servers", decision: holdfast.DecisionStop,
			make: certificate(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			hint: []string{"does not verify: its issuer has to mend it"}},
	}
	for i := range rows {
		rows[i].phase, rows[i].class = holdfast.PhaseTLS, holdfast.ClassTLSTrust
	}
	explain(t, rows)
}

// httpServer is net/http's, for those who mistake it for another.
func httpServer(t *testing.T, cfg *tls.Config) (addr string) {
	t.Helper()
	l := listen(t)
	addr = l.Addr().String()
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	s := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return addr
}

// talk is a server that speaks first and listens to nothing.
func talk(text string) func(*testing.T, *holdfast.Options) string {
	return func(t *testing.T, _ *holdfast.Options) string {
		return "wss://" + serveTCP(t, func(c net.Conn) {
			io.WriteString(c, text)
			hang(c)
		}) + "/stream"
	}
}

func TestFailuresWrongScheme(t *testing.T) {
	explain(t, []failure{
		{cause: "wss to an HTTP port", phase: holdfast.PhaseTLS, class: holdfast.ClassWrongScheme, decision: holdfast.DecisionStop,
			make: func(t *testing.T, _ *holdfast.Options) string { return "wss://" + httpServer(t, nil) + "/stream" },
			hint: []string{"speaks plain HTTP, not TLS: use ws://"}},
		{cause: "wss to a WebSocket server without TLS", phase: holdfast.PhaseTLS, class: holdfast.ClassWrongScheme, decision: holdfast.DecisionStop,
			make: func(t *testing.T, o *holdfast.Options) string { return "wss" + answering(nil)(t, o)[len("ws"):] },
			hint: []string{"speaks plain HTTP, not TLS: use ws://"}},
		{cause: "wss to another protocol", phase: holdfast.PhaseTLS, class: holdfast.ClassWrongScheme, decision: holdfast.DecisionStop,
			make: talk("SSH-2.0-OpenSSH_9.6\r\n"),
			hint: []string{`does not speak TLS, its first bytes are "SSH-2": check the port`}},
		{cause: "wss to a binary protocol", phase: holdfast.PhaseTLS, class: holdfast.ClassWrongScheme, decision: holdfast.DecisionStop,
			make: talk("\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00"),
			hint: []string{"its first bytes are 4a 00 00 00 0a: check the port"}},
		{cause: "ws to a TLS port, Go", phase: holdfast.PhaseHandshake, status: 400, class: holdfast.ClassRejected, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, _ *holdfast.Options) string {
				cfg := &tls.Config{Certificates: []tls.Certificate{newAuthority(t, nextYear).issue(t, nil)}}
				return "ws://" + httpServer(t, cfg) + "/stream"
			},
			hint: []string{"if this port speaks TLS, use wss://"}},
		{cause: "ws to a TLS port, others", phase: holdfast.PhaseHandshake, class: holdfast.ClassTransient, decision: holdfast.DecisionRetry,
			make: tlsPort("ws", func(*tls.Config) {}),
			hint: []string{"ended the connection without an answer", "if this port speaks TLS, use wss://"}},
	})
}

// tlsPort is a TLS server that says nothing beyond TLS and waits for the client
// to leave if the handshake fails, so that its last words arrive.
func tlsPort(scheme string, change func(*tls.Config)) func(*testing.T, *holdfast.Options) string {
	return func(t *testing.T, o *holdfast.Options) string {
		a := newAuthority(t, nextYear)
		o.TLSConfig = trust(a)
		cfg := &tls.Config{Certificates: []tls.Certificate{a.issue(t, nil)}}
		change(cfg)
		return scheme + "://" + serveTCP(t, func(c net.Conn) {
			if err := tls.Server(c, cfg).Handshake(); err != nil {
				if tc, ok := c.(*net.TCPConn); ok {
					tc.CloseWrite()
				}
			}
			hang(c)
		}) + "/stream"
	}
}

func TestFailuresTLS(t *testing.T) {
	asHint := []string{"ended TLS with an alert", "it may want a client certificate, another TLS version or another server name"}
	explain(t, []failure{
		{cause: "alert: a client certificate is required, TLS 1.3", phase: holdfast.PhaseHandshake, class: holdfast.ClassTLS, decision: holdfast.DecisionRetry,
			make: tlsPort("wss", func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }), hint: asHint}, // it comes after the client's handshake
		{cause: "alert: a client certificate is required, TLS 1.2", phase: holdfast.PhaseTLS, class: holdfast.ClassTLS, decision: holdfast.DecisionRetry,
			make: tlsPort("wss", func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 }), hint: asHint},
		{cause: "alert: another version", phase: holdfast.PhaseTLS, class: holdfast.ClassTLS, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				target := tlsPort("wss", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })(t, o)
				o.TLSConfig.MaxVersion = tls.VersionTLS12
				return target
			}, hint: asHint},
		{cause: "alert: no such server name", phase: holdfast.PhaseTLS, class: holdfast.ClassTLS, decision: holdfast.DecisionRetry,
			make: tlsPort("wss", func(c *tls.Config) { c.Certificates = nil }), hint: asHint},
		{cause: "TLS hang", phase: holdfast.PhaseTLS, class: holdfast.ClassTimeout, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.HandshakeTimeout = short
				return "wss://" + serveTCP(t, hang) + "/stream"
			},
			hint: []string{"took the connection, but TLS was not done in time", "does that port speak TLS?"}},
		{cause: "EOF in TLS", phase: holdfast.PhaseTLS, class: holdfast.ClassTransient, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, _ *holdfast.Options) string {
				return "wss://" + serveTCP(t, func(c net.Conn) {
					c.(*net.TCPConn).CloseWrite()
					hang(c)
				}) + "/stream"
			},
			hint: []string{"ended during the TLS handshake", "the port does not speak TLS"}},
		{cause: "RST in TLS", phase: holdfast.PhaseTLS, class: holdfast.ClassTransient, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, _ *holdfast.Options) string {
				return "wss://" + serveTCP(t, func(c net.Conn) {
					c.Read(make([]byte, 1))
					c.(*net.TCPConn).SetLinger(0)
				}) + "/stream"
			},
			hint: []string{"ended during the TLS handshake", "a firewall may be cutting it"}},
	})
}
