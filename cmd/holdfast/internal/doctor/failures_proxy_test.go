package doctor

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func proxyAt(scheme, addr string) func(*http.Request) (*url.URL, error) {
	return http.ProxyURL(&url.URL{Scheme: scheme, Host: addr, User: url.UserPassword(planted+"-proxy", planted+"-proxy")})
}

// through is a server behind a proxy of the scheme, which f is.
func through(scheme string, f func(t *testing.T, c net.Conn)) func(*testing.T, *doctor.Options) string {
	return func(t *testing.T, o *doctor.Options) string {
		o.Proxy = proxyAt(scheme, serveTCP(t, func(c net.Conn) { f(t, c) }))
		return "ws://server.test/stream"
	}
}

// connectAnswer is an HTTP proxy that answers with a status.
func connectAnswer(code int, header string) func(*testing.T, *doctor.Options) string {
	return through("http", func(_ *testing.T, c net.Conn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 "+strconv.Itoa(code)+" for "+planted+"\r\nContent-Length: 0\r\nConnection: close\r\nProxy-Authenticate: Basic\r\n"+header+"\r\n")
	})
}

// socksAnswer is a SOCKS5 proxy (RFC 1928, 1929) that chooses a method, gives a
// verdict on user and password, and answers the request, each with a byte; a
// negative one closes the connection instead.
func socksAnswer(method, auth, reply int) func(*testing.T, *doctor.Options) string {
	return through("socks5", func(_ *testing.T, c net.Conn) {
		read := func(n int) []byte {
			b := make([]byte, n)
			_, _ = io.ReadFull(c, b)
			return b
		}
		read(int(read(2)[1])) // version, methods
		if method < 0 {
			return
		}
		_, _ = c.Write([]byte{5, byte(method)})
		if method == 2 {
			read(int(read(2)[1])) // version, user
			read(int(read(1)[0])) // password
			_, _ = c.Write([]byte{1, byte(auth)})
		}
		if method > 2 || auth != 0 {
			hang(c)
			return
		}
		read(4 + 1 + len("server.test") + 2)
		_, _ = c.Write([]byte{5, byte(reply), 0, 1, 0, 0, 0, 0, 0, 0})
		hang(c)
	})
}

// tunnel is an HTTP proxy that makes a tunnel to target, whatever it is asked for.
func tunnel(t *testing.T, o *doctor.Options, target string) {
	o.Proxy = proxyAt("http", serveTunnel(t, target, func(c net.Conn) net.Conn { return c }))
}

// serveTunnel serves such a proxy over what wrap makes of a connection.
func serveTunnel(t *testing.T, target string, wrap func(net.Conn) net.Conn) (addr string) {
	u, err := url.Parse(target)
	require.NoError(t, err)
	return serveTCP(t, func(c net.Conn) {
		c = wrap(c)
		readHead(c)
		server, err := net.Dial("tcp", u.Host)
		if !assert.NoError(t, err) {
			return
		}
		defer server.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(server, c)
			server.Close()
		}()
		_, _ = io.Copy(c, server)
		c.Close()
		<-done
	})
}

func TestProxy(t *testing.T) {
	const step = doctor.StepTunnel
	diagnose(t, []failure{
		{cause: "CONNECT 407", make: connectAnswer(407, ""), class: holdfast.ClassProxyAuth, step: step, advice: "put user and password into the proxy's URL"},
		{cause: "CONNECT 403", make: connectAnswer(403, "Server: squid/6.6\r\n"), class: holdfast.ClassProxyRefused, step: step, advice: "exempt the host through NO_PROXY"},
		{cause: "CONNECT 502", make: connectAnswer(502, ""), class: holdfast.ClassProxyDown, step: step, advice: "cannot reach server.test:80 from where it stands"},
		{cause: "CONNECT 503", make: connectAnswer(503, "Retry-After: 7\r\n"), class: holdfast.ClassProxyDown, step: step, advice: "it is overloaded"},
		{cause: "CONNECT 302", make: connectAnswer(302, "Location: http://login.test/?"+planted+"\r\n"), class: holdfast.ClassProxyDown, step: step, advice: "is the proxy's URL right?"},
		{cause: "the proxy ends the conversation", make: through("http", func(_ *testing.T, c net.Conn) { readHead(c) }), class: holdfast.ClassProxyDown, step: step,
			advice: "be a proxy of another kind"},
		{cause: "the proxy hangs", parallel: true, class: holdfast.ClassProxyDown, step: step, advice: "can it reach server.test:80?",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Timeout = short
				return through("http", func(_ *testing.T, c net.Conn) { hang(c) })(t, o)
			}},
		{cause: "nothing listens at the proxy", class: holdfast.ClassProxyDown, step: doctor.StepTCP, advice: "is it running",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Proxy = proxyAt("http", deafPort(t))
				return "wss://server.test/stream"
			}},
		{cause: "TLS to a proxy without it", class: holdfast.ClassWrongScheme, step: step, advice: "use http:// in the proxy's URL",
			make: through("https", func(_ *testing.T, c net.Conn) {
				_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
				hang(c)
			})},
		{cause: "a proxy that is no HTTP proxy", class: holdfast.ClassProxyDown, step: step, advice: "be a proxy of another kind (http, https, socks5)",
			make: through("http", func(_ *testing.T, c net.Conn) {
				readHead(c)
				_, _ = io.WriteString(c, "SSH-2.0-"+planted+"\r\n\r\n")
				hang(c)
			})},
		{cause: "a proxy of a scheme that is not known", class: holdfast.ClassProxyDown, step: doctor.StepProxy,
			make: func(_ *testing.T, o *doctor.Options) string {
				o.Proxy = proxyAt("gopher", "127.0.0.1:70")
				return "ws://server.test/stream"
			}},
		{cause: "nothing listens at the SOCKS proxy", class: holdfast.ClassProxyDown, step: doctor.StepTCP,
			make: func(t *testing.T, o *doctor.Options) string {
				o.Proxy = proxyAt("socks5", deafPort(t))
				return "ws://server.test/stream"
			}},
		{cause: "SOCKS takes no method", make: socksAnswer(0xff, 0, 0), class: holdfast.ClassProxyDown, step: step, advice: "want credentials"},
		{cause: "SOCKS refuses user and password", make: socksAnswer(2, 1, 0), class: holdfast.ClassProxyDown, step: step, advice: "want credentials"},
		{cause: "SOCKS, not allowed", make: socksAnswer(0, 0, 2), class: holdfast.ClassProxyDown, step: step},
		{cause: "SOCKS, connection refused", make: socksAnswer(2, 0, 5), class: holdfast.ClassProxyDown, step: step, advice: "it may not reach it"},
		{cause: "SOCKS ends the conversation", make: socksAnswer(-1, 0, 0), class: holdfast.ClassProxyDown, step: step},
	})
}

// What fails behind a proxy that works is explained as if there was none.
func TestBehindProxy(t *testing.T) {
	behindProxy := func(makeIt func(*testing.T, *doctor.Options) string, at string) func(*testing.T, *doctor.Options) string {
		return func(t *testing.T, o *doctor.Options) string {
			tunnel(t, o, makeIt(t, o))
			return at
		}
	}
	diagnose(t, []failure{
		{cause: "404 behind a proxy", make: behindProxy(answering(holdfasttest.Refuse{Status: 404}), "ws://server.test/stream"),
			class: holdfast.ClassNotFound, step: doctor.StepUpgrade},
		{cause: "EOF behind a proxy", make: behindProxy(answering(holdfasttest.Drop{}), "ws://server.test/stream"),
			class: holdfast.ClassTransient, step: doctor.StepUpgrade},
		{cause: "TLS behind a proxy", fine: true,
			make: func(t *testing.T, o *doctor.Options) string {
				s := holdfasttest.NewTLSServer(listen(t), nil)
				t.Cleanup(s.Close)
				o.TLSConfig = s.ClientTLSConfig()
				tunnel(t, o, s.URL())
				return "wss://example.com/stream"
			}},
		{cause: "TLS behind a proxy over TLS", fine: true,
			make: func(t *testing.T, o *doctor.Options) string {
				s := holdfasttest.NewTLSServer(listen(t), nil)
				t.Cleanup(s.Close)
				a := newAuthority(t, nextYear)
				o.TLSConfig = s.ClientTLSConfig()
				o.TLSConfig.RootCAs.AddCert(a.cert)
				cfg := &tls.Config{Certificates: []tls.Certificate{a.issue(t, nil)}}
				o.Proxy = proxyAt("https", serveTunnel(t, s.URL(), func(c net.Conn) net.Conn { return tls.Server(c, cfg) }))
				return "wss://example.com/stream"
			}},
	})
}
