package holdfast_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func proxyAt(scheme, addr string) func(*http.Request) (*url.URL, error) {
	return http.ProxyURL(&url.URL{Scheme: scheme, Host: addr, User: url.UserPassword(planted+"-proxy", planted)})
}

// through is a server behind a proxy of the scheme, which f is.
func through(scheme string, f func(t *testing.T, c net.Conn)) func(*testing.T, *holdfast.Options) string {
	return func(t *testing.T, o *holdfast.Options) string {
		addr := serveTCP(t, func(c net.Conn) { f(t, c) })
		o.Proxy = proxyAt(scheme, addr)
		return "ws://server.test/stream"
	}
}

// connectAnswer is an HTTP proxy that answers CONNECT with a status.
func connectAnswer(code int, header string) func(*testing.T, *holdfast.Options) string {
	return through("http", func(t *testing.T, c net.Conn) {
		head := readHead(c)
		assert.True(t, strings.HasPrefix(head, "CONNECT server.test:80 HTTP/1.1\r\n"), head)
		assert.NotContains(t, head, plantedBasic, "the server's credentials are not the proxy's")
		io.WriteString(c, "HTTP/1.1 "+strconv.Itoa(code)+" for "+planted+"\r\nContent-Length: 0\r\nProxy-Authenticate: Basic\r\n"+header+"\r\n")
	})
}

// socksAnswer is a SOCKS5 proxy (RFC 1928, 1929) that chooses a method, gives a
// verdict on user and password, and answers the request, each with a byte; a
// negative one closes the connection instead.
func socksAnswer(method, auth, reply int) func(*testing.T, *holdfast.Options) string {
	return through("socks5", func(_ *testing.T, c net.Conn) {
		read := func(n int) []byte {
			b := make([]byte, n)
			io.ReadFull(c, b)
			return b
		}
		read(int(read(2)[1])) // version, methods
		if method < 0 {
			return
		}
		c.Write([]byte{5, byte(method)})
		if method == 2 {
			read(int(read(2)[1])) // version, user
			read(int(read(1)[0])) // password
			c.Write([]byte{1, byte(auth)})
		}
		if method > 2 || auth != 0 {
			hang(c)
			return
		}
		read(4 + 1 + len("server.test") + 2)
		c.Write([]byte{5, byte(reply), 0, 1, 0, 0, 0, 0, 0, 0})
		hang(c)
	})
}

func TestFailuresProxy(t *testing.T) {
	explain(t, proxyFailures([]failure{
		{cause: "CONNECT 407", make: connectAnswer(407, ""), status: 407, class: holdfast.ClassProxyAuth, decision: holdfast.DecisionStop,
			hint: []string{"the proxy wants credentials for itself", "put user and password into the proxy's URL"}},
		{cause: "CONNECT 403", make: connectAnswer(403, "Server: squid/6.6\r\n"), status: 403, class: holdfast.ClassProxyRefused, decision: holdfast.DecisionStop,
			hint: []string{`the proxy ("squid/6.6") answered 403 Forbidden to CONNECT`, "do not allow server.test:80", "exempt the host through NO_PROXY"}},
		{cause: "CONNECT 502", make: connectAnswer(502, ""), status: 502, class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			hint: []string{"502 Bad Gateway to CONNECT", "cannot reach server.test:80 from where it stands"}},
		{cause: "CONNECT 503", make: connectAnswer(503, "Retry-After: 7\r\n"), status: 503, class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			retryAfter: 7 * time.Second, hint: []string{"503 Service Unavailable to CONNECT", "it is overloaded"}},
		{cause: "CONNECT 302", make: connectAnswer(302, "Location: http://login.test/?"+planted+"\r\n"), status: 302, class: holdfast.ClassProxyDown,
			decision: holdfast.DecisionRetry, hint: []string{"makes no tunnel", "is the proxy's URL right?"}},
		{cause: "the proxy ends the conversation", class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			make: through("http", func(_ *testing.T, c net.Conn) { readHead(c) }),
			hint: []string{"the proxy made no tunnel to server.test:80", "be a proxy of another kind"}},
		{cause: "the proxy hangs", class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.HandshakeTimeout = short
				return through("http", func(_ *testing.T, c net.Conn) { hang(c) })(t, o)
			},
			hint: []string{"the proxy did not answer in time", "can it reach server.test:80?"}},
		{cause: "nothing listens at the proxy", class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.Proxy = proxyAt("http", deafPort(t))
				return "wss://server.test/stream"
			},
			hint: []string{"the proxy cannot be connected to: is it running", "HTTPS_PROXY"}},
		{cause: "TLS to a proxy without it", class: holdfast.ClassWrongScheme, decision: holdfast.DecisionStop,
			make: through("https", func(_ *testing.T, c net.Conn) {
				io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
				hang(c)
			}),
			hint: []string{"use http:// in the proxy's URL"}},
		{cause: "a proxy that is no HTTP proxy", class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			make: through("http", func(_ *testing.T, c net.Conn) {
				io.WriteString(c, "SSH-2.0-"+planted+"\r\n\r\n")
				hang(c)
			}),
			hint: []string{"be a proxy of another kind (http, https, socks5)"}},

		{cause: "nothing listens at the SOCKS proxy", class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.Proxy = proxyAt("socks5", deafPort(t))
				return "ws://server.test/stream"
			},
			hint: []string{"the proxy cannot be connected to: is it running"}},
		{cause: "SOCKS takes no method", make: socksAnswer(0xff, 0, 0), class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			hint: []string{"the proxy made no tunnel to server.test:80", "want credentials"}},
		{cause: "SOCKS refuses user and password", make: socksAnswer(2, 1, 0), class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			hint: []string{"the proxy made no tunnel to server.test:80", "want credentials"}},
		{cause: "SOCKS: not allowed", make: socksAnswer(0, 0, 2), class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			hint: []string{"the proxy made no tunnel to server.test:80"}},
		{cause: "SOCKS: connection refused", make: socksAnswer(2, 0, 5), class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			hint: []string{"the proxy made no tunnel to server.test:80", "it may not reach it"}},
		{cause: "SOCKS ends the conversation", make: socksAnswer(-1, 0, 0), class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			hint: []string{"the proxy made no tunnel to server.test:80"}},
	}))
}

// proxyFailures are of the proxy's phase.
func proxyFailures(rows []failure) []failure {
	for i := range rows {
		rows[i].phase = holdfast.PhaseProxy
	}
	return rows
}

// What fails behind a proxy that works is explained as if there was none.
func TestFailuresBehindProxy(t *testing.T) {
	tunnel := func(t *testing.T, c net.Conn, addr string) {
		assert.NotEmpty(t, readHead(c))
		server, err := net.Dial("tcp", addr)
		if !assert.NoError(t, err) {
			return
		}
		defer server.Close()
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(server, c)
		io.Copy(c, server)
	}
	behind := func(reply holdfasttest.Reply) func(*testing.T, *holdfast.Options) string {
		return func(t *testing.T, o *holdfast.Options) string {
			target, err := url.Parse(answering(reply)(t, o))
			require.NoError(t, err)
			return through("http", func(t *testing.T, c net.Conn) { tunnel(t, c, target.Host) })(t, o)
		}
	}
	explain(t, []failure{
		{cause: "404", make: behind(holdfasttest.Refuse{Status: 404}), phase: holdfast.PhaseHandshake, status: 404,
			class: holdfast.ClassNotFound, decision: holdfast.DecisionStop, hint: []string{"the server has nothing at /stream"}},
		{cause: "EOF in the handshake", make: behind(holdfasttest.Drop{}), phase: holdfast.PhaseHandshake,
			class: holdfast.ClassTransient, decision: holdfast.DecisionRetry, hint: []string{"server.test:80 ended the connection without an answer"}},
	})
}
