package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// certificate is a server with the certificate that change makes, of an authority
// that the client trusts.
func certificate(change func(*x509.Certificate)) func(*testing.T, *doctor.Options) string {
	return func(t *testing.T, o *doctor.Options) string {
		a := newAuthority(t, nextYear)
		o.TLSConfig = trust(a)
		return tlsServer(t, a.issue(t, change))
	}
}

func TestTLSTrust(t *testing.T) {
	rows := []failure{
		{cause: "unknown authority", advice: "add that root to TLSConfig.RootCAs",
			make: func(t *testing.T, o *doctor.Options) string {
				o.TLSConfig = trust()
				return tlsServer(t, newAuthority(t, nextYear).issue(t, nil))
			}},
		{cause: "wrong host", advice: "check the host in the URL",
			make: certificate(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"www.example.net"} })},
		{cause: "expired", advice: "renew the certificate, or set the clock",
			make: certificate(func(c *x509.Certificate) {
				c.NotAfter = time.Date(2019, 2, 3, 4, 5, 0, 0, time.UTC)
				c.NotBefore = c.NotAfter.AddDate(-1, 0, 0)
			})},
		{cause: "not yet valid", advice: "set the clock",
			make: certificate(func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Date(2190, 2, 3, 4, 5, 0, 0, time.UTC), time.Date(2191, 1, 1, 0, 0, 0, 0, time.UTC)
			})},
		{cause: "the authority has expired", advice: "renew the chain, or set the clock",
			make: func(t *testing.T, o *doctor.Options) string {
				a := newAuthority(t, time.Now().AddDate(0, -1, 0))
				o.TLSConfig = trust(a)
				return tlsServer(t, a.issue(t, nil))
			}},
		{cause: "unknown authority, by polls", advice: "add that root to TLSConfig.RootCAs",
			make: func(t *testing.T, o *doctor.Options) string {
				o.TLSConfig = trust()
				return "https" + tlsServer(t, newAuthority(t, nextYear).issue(t, nil))[len("wss"):]
			}},
	}
	for i := range rows {
		rows[i].class, rows[i].step = holdfast.ClassTLSTrust, doctor.StepTLS
	}
	diagnose(t, rows)
}

func TestTLSFine(t *testing.T) {
	diagnose(t, []failure{
		{cause: "a certificate that is in order", make: certificate(nil), fine: true},
		{cause: "a certificate that expires soon", fine: true, advice: "it is about to expire",
			make: certificate(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(5*24*time.Hour + time.Hour) })},
		{cause: "unverified", fine: true, advice: "verify the certificate in earnest",
			make: func(t *testing.T, o *doctor.Options) string {
				o.TLSConfig = &tls.Config{InsecureSkipVerify: true}
				return tlsServer(t, newAuthority(t, nextYear).issue(t, nil))
			}},
	})
}

// talk is a port that speaks first.
func talk(words string) func(*testing.T, *doctor.Options) string {
	return func(t *testing.T, _ *doctor.Options) string {
		return "wss://" + serveTCP(t, func(c net.Conn) {
			_, _ = io.WriteString(c, words)
			hang(c)
		}) + "/stream"
	}
}

func TestWrongScheme(t *testing.T) {
	diagnose(t, []failure{
		{cause: "wss to an HTTP port", class: holdfast.ClassWrongScheme, step: doctor.StepTLS, advice: "use ws:// or http://",
			make: func(t *testing.T, _ *doctor.Options) string { return "wss://" + httpServer(t, nil) + "/stream" }},
		{cause: "wss to SSH", make: talk("SSH-2.0-OpenSSH_9.6\r\n"), class: holdfast.ClassWrongScheme, step: doctor.StepTLS, advice: "check the port"},
		{cause: "wss to a binary protocol", make: talk("\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00"), class: holdfast.ClassWrongScheme, step: doctor.StepTLS},
		{cause: "ws to a TLS port, Go", class: holdfast.ClassRejected, step: doctor.StepUpgrade, advice: "if this port speaks TLS, use wss://",
			make: func(t *testing.T, _ *doctor.Options) string {
				cfg := &tls.Config{Certificates: []tls.Certificate{newAuthority(t, nextYear).issue(t, nil)}}
				return "ws://" + httpServer(t, cfg) + "/stream"
			}},
		{cause: "ws to a TLS port, others", make: tlsPort("ws", func(*tls.Config) {}), class: holdfast.ClassTransient, step: doctor.StepUpgrade,
			advice: "if this port speaks TLS, use wss://"},
	})
}

// tlsPort is a TLS server that says nothing beyond TLS and waits for the client to
// leave if the handshake fails, so that its last words arrive.
func tlsPort(scheme string, change func(*tls.Config)) func(*testing.T, *doctor.Options) string {
	return func(t *testing.T, o *doctor.Options) string {
		a := newAuthority(t, nextYear)
		o.TLSConfig = trust(a)
		cfg := &tls.Config{Certificates: []tls.Certificate{a.issue(t, nil)}}
		change(cfg)
		return scheme + "://" + serveTCP(t, func(c net.Conn) {
			if err := tls.Server(c, cfg).Handshake(); err != nil {
				if tc, ok := c.(*net.TCPConn); ok {
					_ = tc.CloseWrite()
				}
			}
			hang(c)
		}) + "/stream"
	}
}

func TestTLS(t *testing.T) {
	const alert = "it may want a client certificate, another TLS version or another server name"
	diagnose(t, []failure{
		{cause: "alert, a client certificate is required, TLS 1.3", class: holdfast.ClassTLS, step: doctor.StepUpgrade, advice: alert, // it comes after the client's handshake
			make: tlsPort("wss", func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })},
		{cause: "alert, a client certificate is required, TLS 1.2", class: holdfast.ClassTLS, step: doctor.StepTLS, advice: alert,
			make: tlsPort("wss", func(c *tls.Config) { c.ClientAuth, c.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12 })},
		{cause: "alert, another version", class: holdfast.ClassTLS, step: doctor.StepTLS, advice: alert,
			make: func(t *testing.T, o *doctor.Options) string {
				target := tlsPort("wss", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 })(t, o)
				o.TLSConfig.MaxVersion = tls.VersionTLS12
				return target
			}},
		{cause: "alert, no such server name", class: holdfast.ClassTLS, step: doctor.StepTLS, advice: alert,
			make: tlsPort("wss", func(c *tls.Config) { c.Certificates = nil })},
		{cause: "TLS hang", parallel: true, class: holdfast.ClassTimeout, step: doctor.StepTLS, advice: "does that port speak TLS?",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Timeout = short
				return "wss://" + serveTCP(t, hang) + "/stream"
			}},
		{cause: "EOF in TLS", class: holdfast.ClassTransient, step: doctor.StepTLS, advice: "the port does not speak TLS",
			make: func(t *testing.T, _ *doctor.Options) string {
				return "wss://" + serveTCP(t, func(c net.Conn) {
					_ = c.(*net.TCPConn).CloseWrite()
					hang(c)
				}) + "/stream"
			}},
		{cause: "RST in TLS", class: holdfast.ClassTransient, step: doctor.StepTLS, advice: "a firewall may be cutting it",
			make: func(t *testing.T, _ *doctor.Options) string {
				return "wss://" + serveTCP(t, func(c net.Conn) {
					_, _ = c.Read(make([]byte, 1))
					_ = c.(*net.TCPConn).SetLinger(0)
				}) + "/stream"
			}},
		{cause: "EOF in the handshake over TLS", class: holdfast.ClassTransient, step: doctor.StepUpgrade, advice: "something on the way cuts upgrades",
			make: func(t *testing.T, o *doctor.Options) string {
				s := holdfasttest.NewTLSServer(listen(t), nil)
				t.Cleanup(s.Close)
				s.OnRequest(func(int, *http.Request) holdfasttest.Reply { return holdfasttest.Drop{} })
				o.TLSConfig = s.ClientTLSConfig()
				return s.URL() + "stream"
			}},
	})
}
