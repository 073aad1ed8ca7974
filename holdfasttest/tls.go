package holdfasttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"
)

// NewTLSServer serves wss on l at once, which must not speak TLS itself. With
// a nil cfg it uses a certificate of its own making for l's address,
// "localhost", "example.com" and "*.example.com", which ClientTLSConfig
// trusts. It panics if no certificate can be made.
func NewTLSServer(l net.Listener, cfg *tls.Config) *Server {
	s := NewUnstartedServer(l)
	s.StartTLS(cfg)
	return s
}

// StartTLS is Start for wss, with cfg as [NewTLSServer] has it. It panics if the
// server was started before: after [Server.Stop], Start goes on with TLS.
func (s *Server) StartTLS(cfg *tls.Config) {
	if cfg == nil {
		cfg = &tls.Config{Certificates: []tls.Certificate{selfSigned(s.listener().Addr())}}
	}
	s.start(cfg)
}

// ClientTLSConfig returns a new configuration that trusts the server's first
// certificate; nil for a server without TLS.
func (s *Server) ClientTLSConfig() *tls.Config {
	s.mu.Lock()
	cfg := s.tls
	s.mu.Unlock()
	if cfg == nil {
		return nil
	}
	pool := x509.NewCertPool()
	if len(cfg.Certificates) > 0 {
		if c, err := x509.ParseCertificate(cfg.Certificates[0].Certificate[0]); err == nil {
			pool.AddCert(c)
		}
	}
	return &tls.Config{RootCAs: pool}
}

func selfSigned(addr net.Addr) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "holdfasttest"},
		// From before the year 2000, in which synctest's bubbles begin.
		NotBefore:             time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{"localhost", "example.com", "*.example.com"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if a, ok := addr.(*net.TCPAddr); ok {
		tmpl.IPAddresses = append(tmpl.IPAddresses, a.IP)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
