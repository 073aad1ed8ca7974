//go:build !js

package wslink_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// splice joins two connections until either ends.
func splice(a, b net.Conn, early *bufio.Reader) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(b, early)
		b.Close()
	}()
	io.Copy(a, b)
	a.Close()
	<-done
}

// connectProxy is an HTTP proxy that knows CONNECT alone. It leads every
// target to to; asked gets each request.
func connectProxy(t *testing.T, to string, asked chan<- *http.Request, answer string, cfg *tls.Config) string {
	return listen(t, func(c net.Conn) {
		if cfg != nil {
			c = tls.Server(c, cfg)
		}
		br := bufio.NewReader(c)
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		asked <- req
		fmt.Fprintf(c, "HTTP/1.1 %s\r\nProxy-Agent: test\r\n\r\n", answer)
		if !strings.HasPrefix(answer, "2") {
			io.Copy(io.Discard, c) // an unfinished body
			return
		}
		target, err := net.Dial("tcp", to)
		if err == nil {
			splice(c, target, br)
		}
	}).Addr().String()
}

func hostOf(raw string) string {
	u, _ := url.Parse(raw)
	return u.Host
}

func talk(t *testing.T, l transport.Link) {
	t.Helper()
	_, err := l.Write([]transport.Message{{Type: transport.Text, Data: []byte("x")}})
	require.NoError(t, err)
	_, data, err := l.Read(nil)
	require.NoError(t, err)
	assert.Equal(t, "x", string(data))
	readOn(l)
	require.NoError(t, l.Close(testContext(t), 1000, ""))
}

func TestConnectProxy(t *testing.T) {
	ws := httpServer(t, echo(nil))
	wss, cfg := tlsServer(t, echo(nil))
	// It names example.com and 127.0.0.1.
	certificate := testCertificate(t)
	for _, tt := range []struct {
		name, target, to string
		user             *url.Userinfo
		auth             string
		tls              bool
	}{
		{"ws", "ws://example.com/", hostOf(ws), nil, "", false},
		{"wss", "wss://example.com/", hostOf(wss), nil, "", false},
		{"ws with credentials", "ws://example.com:81/", hostOf(ws), url.UserPassword("u", "p"), "Basic dTpw", false},
		{"wss with a user alone", "wss://example.com/", hostOf(wss), url.User("u"), "Basic dTo=", false},
		{"ws through https", "ws://example.com/", hostOf(ws), nil, "", true},
		{"wss through https", "wss://example.com/", hostOf(wss), nil, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := make(chan *http.Request, 1)
			r := request(t, tt.target)
			r.TLSConfig = cfg
			r.Header = http.Header{"Authorization": {"Bearer target's"}}
			proxy := &url.URL{Scheme: "http", User: tt.user}
			var proxyTLS *tls.Config
			if tt.tls {
				proxy.Scheme = "https"
				proxyTLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			}
			proxy.Host = connectProxy(t, tt.to, asked, "200 OK", proxyTLS)
			r.Proxy = func(req *http.Request) (*url.URL, error) {
				assert.Equal(t, strings.Replace(r.URL.Scheme, "ws", "http", 1), req.URL.Scheme)
				return proxy, nil
			}
			l := dial(t, r)
			got := receive(t, asked)
			assert.Equal(t, http.MethodConnect, got.Method)
			port := map[string]string{"ws": ":80", "wss": ":443"}[r.URL.Scheme]
			if r.URL.Port() != "" {
				port = ""
			}
			assert.Equal(t, r.URL.Host+port, got.RequestURI)
			assert.Equal(t, tt.auth, got.Header.Get("Proxy-Authorization"))
			assert.Empty(t, got.Header.Get("Authorization"))
			assert.Equal(t, proxy.Host, l.Info().RemoteAddr.String())
			talk(t, l)
		})
	}
}

func TestProxyRefuses(t *testing.T) {
	for _, status := range []int{302, 403, 407, 502, 503} {
		for _, scheme := range []string{"ws", "wss"} {
			asked := make(chan *http.Request, 1)
			r := request(t, scheme+"://target.test/?token=SECRET")
			r.Proxy = http.ProxyURL(parse(t, "http://u:SECRET@"+connectProxy(t, "", asked, fmt.Sprint(status, " SECRET"), nil)))
			te := dialError(t, testContext(t), r)
			assert.Equal(t, transport.PhaseProxy, te.Phase)
			assert.Equal(t, status, te.StatusCode)
			assert.Equal(t, "test", te.Header.Get("Proxy-Agent"))
			assert.True(t, te.Proxied)
		}
	}
}

func TestProxyCannotBeUsed(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone.Close()
	for _, scheme := range []string{"http", "https", "socks5", "socks5h"} {
		r := request(t, "ws://target.test/")
		r.Proxy = http.ProxyURL(parse(t, scheme+"://u:SECRET@"+gone.Addr().String()))
		te := dialError(t, testContext(t), r)
		assert.Equal(t, transport.PhaseProxy, te.Phase)
		assert.True(t, te.Proxied)
		assert.Zero(t, te.StatusCode)
		require.ErrorIs(t, te, syscall.ECONNREFUSED)
	}
	mine := errors.New("my own reason")
	for _, f := range []func(*http.Request) (*url.URL, error){
		func(*http.Request) (*url.URL, error) { return nil, mine },
		func(*http.Request) (*url.URL, error) { return nil, errors.New(`invalid proxy address "u:SECRET@h"`) },
		http.ProxyURL(parse(t, "ftp://u:SECRET@h")),
		http.ProxyURL(parse(t, "http:")),
	} {
		r := request(t, "ws://target.test/")
		r.Proxy = f
		assert.Equal(t, transport.PhaseProxy, dialError(t, testContext(t), r).Phase)
	}
	r := request(t, "ws://target.test/")
	r.Proxy = func(*http.Request) (*url.URL, error) { return nil, mine }
	require.ErrorIs(t, dialError(t, testContext(t), r), mine)
}

func TestBehindAProxyThePhaseGoesOn(t *testing.T) {
	plain := httpServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	for scheme, phase := range map[string]transport.Phase{"ws": transport.PhaseHandshake, "wss": transport.PhaseTLS} {
		r := request(t, scheme+"://target.test/")
		r.Proxy = http.ProxyURL(parse(t, "http://"+connectProxy(t, hostOf(plain), make(chan *http.Request, 1), "200 OK", nil)))
		te := dialError(t, testContext(t), r)
		assert.Equal(t, phase, te.Phase)
		assert.True(t, te.Proxied)
		assert.Equal(t, scheme == "ws", te.StatusCode == 503)
	}
}

// TLSConfig.ServerName is the target's name, not the proxy's.
func TestServerNameIsNotTheProxys(t *testing.T) {
	wss, cfg := tlsServer(t, echo(nil))
	proxy := connectProxy(t, hostOf(wss), make(chan *http.Request, 1), "200 OK", &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}})
	r := request(t, "wss://target.test/")
	r.TLSConfig = cfg.Clone()
	r.TLSConfig.ServerName = "example.com"
	r.Proxy = http.ProxyURL(parse(t, "https://"+proxy))
	talk(t, dial(t, r))

	r.Proxy = http.ProxyURL(parse(t, "https://proxy.test"))
	r.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, proxy)
	}
	te := dialError(t, testContext(t), r)
	assert.Equal(t, transport.PhaseProxy, te.Phase)
	var untrusted *tls.CertificateVerificationError
	require.ErrorAs(t, te, &untrusted)
}

// A proxy may send the first bytes of the tunnel with its answer.
func TestBytesBehindTheProxysAnswer(t *testing.T) {
	ln := listen(t, func(c net.Conn) {
		if readRequest(&wire{Conn: c}) != nil {
			c.Write([]byte("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n"))
			io.Copy(io.Discard, c)
		}
	})
	r := request(t, "ws://target.test/")
	r.Proxy = http.ProxyURL(parse(t, "http://"+ln.Addr().String()))
	assert.Equal(t, 404, dialError(t, testContext(t), r).StatusCode)
}

// socksProxy speaks enough of RFC 1928 and 1929; it leads every target to to.
func socksProxy(t *testing.T, to, user, password string, reply byte, asked chan<- string) string {
	return listen(t, func(c net.Conn) {
		br := bufio.NewReader(c)
		read := func(n int) []byte {
			b := make([]byte, n)
			io.ReadFull(br, b)
			return b
		}
		methods := read(int(read(2)[1]))
		if user == "" {
			c.Write([]byte{5, 0})
		} else {
			if !strings.Contains(string(methods), "\x02") {
				c.Write([]byte{5, 0xff})
				return
			}
			c.Write([]byte{5, 2})
			u := string(read(int(read(2)[1])))
			p := string(read(int(read(1)[0])))
			if u != user || p != password {
				c.Write([]byte{1, 1})
				return
			}
			c.Write([]byte{1, 0})
		}
		head := read(4)
		if head[3] != 3 {
			asked <- fmt.Sprint("address type ", head[3])
			return
		}
		name := string(read(int(read(1)[0])))
		asked <- fmt.Sprintf("%s:%d", name, binary.BigEndian.Uint16(read(2)))
		c.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		if reply != 0 {
			return
		}
		target, err := net.Dial("tcp", to)
		if err == nil {
			splice(c, target, br)
		}
	}).Addr().String()
}

func TestSOCKS5(t *testing.T) {
	ws := httpServer(t, echo(nil))
	wss, cfg := tlsServer(t, echo(nil))
	for _, tt := range []struct{ scheme, target, to, user, asked string }{
		{"socks5", "ws://example.com/", hostOf(ws), "", "example.com:80"},
		{"socks5h", "wss://example.com/", hostOf(wss), "", "example.com:443"},
		{"socks5", "wss://example.com:8443/", hostOf(wss), "me", "example.com:8443"},
	} {
		asked := make(chan string, 1)
		r := request(t, tt.target)
		r.TLSConfig = cfg
		proxy := &url.URL{Scheme: tt.scheme, Host: socksProxy(t, tt.to, tt.user, "SECRET", 0, asked)}
		if tt.user != "" {
			proxy.User = url.UserPassword(tt.user, "SECRET")
		}
		r.Proxy = http.ProxyURL(proxy)
		l := dial(t, r)
		assert.Equal(t, tt.asked, receive(t, asked))
		assert.Equal(t, proxy.Host, l.Info().RemoteAddr.String())
		talk(t, l)
	}
	for _, tt := range []struct {
		user  *url.Userinfo
		reply byte
	}{{url.UserPassword("me", "SECRET2"), 0}, {nil, 0}, {url.UserPassword("me", "SECRET"), 5}} {
		r := request(t, "ws://example.com/")
		r.Proxy = http.ProxyURL(&url.URL{Scheme: "socks5", Host: socksProxy(t, "", "me", "SECRET", tt.reply, make(chan string, 1)), User: tt.user})
		te := dialError(t, testContext(t), r)
		assert.Equal(t, transport.PhaseProxy, te.Phase)
		assert.True(t, te.Proxied)
	}
}

// The proxy is dialled through DialContext too.
func TestProxyThroughDialContext(t *testing.T) {
	ws := httpServer(t, echo(nil))
	proxy := connectProxy(t, hostOf(ws), make(chan *http.Request, 1), "200 OK", nil)
	r := request(t, "ws://target.test/")
	r.Proxy = http.ProxyURL(parse(t, "http://proxy.test:3128"))
	r.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		assert.Equal(t, "proxy.test:3128", addr)
		var d net.Dialer
		return d.DialContext(ctx, network, proxy)
	}
	talk(t, dial(t, r))
}

// testCertificate is the one that httptest's servers show.
func testCertificate(t *testing.T) tls.Certificate {
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	return s.TLS.Certificates[0]
}
