package doctor

import (
	"context"
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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/server"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// answering is a server that answers every handshake alike, and package server at
// /stream behind it if a reply lets requests through.
func answering(reply holdfasttest.Reply) func(*testing.T, *doctor.Options) string {
	return func(t *testing.T, _ *doctor.Options) string {
		s := holdfasttest.NewServer(listen(t))
		t.Cleanup(s.Close)
		s.OnRequest(func(int, *http.Request) holdfasttest.Reply { return reply })
		return s.URL() + "stream"
	}
}

// behind is package server behind what holds WebSocket back.
func behind(blockade holdfasttest.Reply) func(*testing.T, *doctor.Options) string {
	return func(t *testing.T, _ *doctor.Options) string {
		s := holdfasttest.NewServer(listen(t))
		t.Cleanup(s.Close)
		s.Handle(holdfastServer(t, nil))
		if blockade != nil {
			s.Script(holdfasttest.Always(blockade))
		}
		return s.URL() + "stream"
	}
}

// holdfastServer is package server with a handler that only listens.
func holdfastServer(t *testing.T, o *server.Options) *server.Server {
	s := server.New(func(ctx context.Context, s *server.Session) error {
		for _, err := range s.Messages(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
	})
	return s
}

// serveTCP hands each connection to f, and closes it then. It returns the
// listener's address.
func serveTCP(t *testing.T, f func(net.Conn)) (addr string) {
	t.Helper()
	l := listen(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// hang answers nothing until the client leaves.
func hang(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// readHead reads a request's head and returns it.
func readHead(c net.Conn) string {
	var head strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		if _, err := c.Read(b); err != nil {
			break
		}
		head.Write(b)
	}
	return head.String()
}

// deafPort is an address of this host at which nothing listens, nor will: its
// port belongs to the client's end of a connection.
func deafPort(t *testing.T) (addr string) {
	t.Helper()
	c, err := net.Dial("tcp", serveTCP(t, hang))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// httpServer is a server of net/http, with TLS if cfg is not nil.
func httpServer(t *testing.T, cfg *tls.Config) (addr string) {
	t.Helper()
	l := listen(t)
	s := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: cfg, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if cfg != nil {
			_ = s.ServeTLS(l, "", "")
		} else {
			_ = s.Serve(l)
		}
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return l.Addr().String()
}

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

var nextYear = time.Now().AddDate(1, 0, 0)

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

// issue makes a certificate for 127.0.0.1 that is valid now, unless change makes
// it another one.
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

func tlsServer(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	s := holdfasttest.NewTLSServer(listen(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	t.Cleanup(s.Close)
	return s.URL() + "stream"
}
