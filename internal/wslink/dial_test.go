//go:build !js

package wslink_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/memnet"
	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

func TestHandshakeRequest(t *testing.T) {
	seen := make(chan *http.Request, 1)
	url := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		echo(nil)(w, r)
	})
	r := request(t, url+"/a%2Fb?x=1#frag")
	r.URL.User = nil
	r.Header = http.Header{"X-One": {"1"}, "Authorization": {"Bearer x"}}
	r.Host = "example.com:99"
	r.Subprotocols = []string{"a", "b"}
	before := r.Header.Clone()
	dial(t, r)
	got := receive(t, seen)
	assert.Equal(t, "/a%2Fb?x=1", got.RequestURI)
	assert.Equal(t, "example.com:99", got.Host)
	assert.Equal(t, "1", got.Header.Get("X-One"))
	assert.Equal(t, "Bearer x", got.Header.Get("Authorization"))
	assert.Equal(t, "a,b", got.Header.Get("Sec-WebSocket-Protocol"))
	assert.Empty(t, got.Header.Get("Sec-WebSocket-Extensions"))
	assert.Equal(t, before, r.Header, "the request is the caller's")
	assert.Equal(t, "websocket", wslink.New().Name())
}

func TestStatusCodes(t *testing.T) {
	for _, code := range []int{200, 204, 304, 400, 401, 404, 426, 429, 503, 599} {
		release := make(chan struct{})
		url := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(code)
			w.(http.Flusher).Flush()
			<-release // an unfinished body holds nobody up
		})
		te := dialError(t, testContext(t), request(t, url+"/?token=SECRET"))
		close(release)
		assert.Equal(t, transport.PhaseHandshake, te.Phase)
		assert.Equal(t, code, te.StatusCode)
		assert.Equal(t, "7", te.Header.Get("Retry-After"))
		assert.Equal(t, "ws", te.URL.Scheme)
		assert.False(t, te.Proxied)
	}
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		is           error
		text         string
	}{
		{"nothing", "", io.EOF, ""},
		{"half a line", "HTTP/1.1 10", io.EOF, ""},
		{"half a header", "HTTP/1.1 101 X\r\nA: b\r\n", io.EOF, ""},
		{"not HTTP", "SSH-2.0-x\r\n\r\n", nil, "not HTTP"},
		{"a bad header", "HTTP/1.1 101 X\r\nno colon here\r\n\r\n", nil, "not HTTP"},
		{"a huge header", "HTTP/1.1 101 X\r\nA: " + strings.Repeat("x", 2<<20), nil, "larger than"},
		{"1xx without end", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 100_000), nil, "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := listen(t, func(c net.Conn) {
				w := &wire{Conn: c}
				readRequest(w)
				c.Write([]byte(tt.answer))
			})
			te := dialError(t, testContext(t), request(t, "ws://"+ln.Addr().String()+"/?token=SECRET"))
			assert.Equal(t, transport.PhaseHandshake, te.Phase)
			assert.Zero(t, te.StatusCode)
			if tt.is != nil {
				require.ErrorIs(t, te, tt.is)
			}
			assert.ErrorContains(t, te, tt.text)
		})
	}
	t.Run("the connection is closed", func(t *testing.T) {
		closed := make(chan struct{})
		ln := listen(t, func(c net.Conn) {
			defer close(closed)
			w := &wire{Conn: c}
			readRequest(w)
			c.Write([]byte("SSH-2.0-x\r\n\r\n"))
			w.drain()
		})
		dialError(t, testContext(t), request(t, "ws://"+ln.Addr().String()))
		receive(t, closed)
	})
	t.Run("an echo of the request", func(t *testing.T) {
		ln := listen(t, func(c net.Conn) { io.Copy(c, c) })
		dialError(t, testContext(t), request(t, "ws://"+ln.Addr().String()+"/?token=SECRET"))
	})
	t.Run("a 103 first", func(t *testing.T) {
		ln := listen(t, func(c net.Conn) {
			w := &wire{Conn: c}
			req := readRequest(w)
			c.Write([]byte("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept(req) + "\r\n\r\n"))
			w.drain()
		})
		dial(t, request(t, "ws://"+ln.Addr().String()))
	})
}

func TestFailuresByPhase(t *testing.T) {
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	refused.Close()
	plain := httpServer(t, echo(nil))
	secure, trusting := tlsServer(t, echo(nil))

	te := dialError(t, testContext(t), request(t, "ws://"+refused.Addr().String()+"/?token=SECRET"))
	assert.Equal(t, transport.PhaseConnect, te.Phase)
	require.ErrorIs(t, te, syscall.ECONNREFUSED)

	r := request(t, "wss://"+strings.TrimPrefix(plain, "ws://"))
	te = dialError(t, testContext(t), r)
	assert.Equal(t, transport.PhaseTLS, te.Phase)
	require.ErrorIs(t, te, http.ErrSchemeMismatch)

	te = dialError(t, testContext(t), request(t, secure))
	assert.Equal(t, transport.PhaseTLS, te.Phase)
	var untrusted *tls.CertificateVerificationError
	require.ErrorAs(t, te, &untrusted)

	r = request(t, secure)
	r.TLSConfig = trusting.Clone()
	r.TLSConfig.ServerName = "other.test"
	te = dialError(t, testContext(t), r)
	require.ErrorAs(t, te, &untrusted)
	assert.Equal(t, "other.test", r.TLSConfig.ServerName)

	r = request(t, "ws://"+strings.TrimPrefix(secure, "wss://"))
	te = dialError(t, testContext(t), r)
	assert.Equal(t, transport.PhaseHandshake, te.Phase)
	assert.Equal(t, 400, te.StatusCode)

	r = request(t, "ws://nowhere.test/")
	r.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nowhere.test", IsNotFound: true}}
	}
	te = dialError(t, testContext(t), r)
	assert.Equal(t, transport.PhaseResolve, te.Phase)

	r.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
	te = dialError(t, testContext(t), r)
	assert.Equal(t, transport.PhaseConnect, te.Phase)

	te = dialError(t, testContext(t), &transport.Request{})
	assert.Equal(t, transport.PhaseNone, te.Phase)
}

// ending is a context that a test ends once the server has seen what it waits for.
func ending(t *testing.T) (context.Context, func()) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

func TestContextEndsInEachPhase(t *testing.T) {
	hang := func(t *testing.T, read int, reached func()) string {
		return listen(t, func(c net.Conn) {
			io.ReadFull(c, make([]byte, read))
			reached()
			io.Copy(io.Discard, c)
		}).Addr().String()
	}
	t.Run("before", func(t *testing.T) {
		ctx, cancel := ending(t)
		cancel()
		te := dialError(t, ctx, request(t, "ws://127.0.0.1:1/"))
		assert.Equal(t, transport.PhaseNone, te.Phase)
		require.ErrorIs(t, te, context.Canceled)
	})
	t.Run("connect", func(t *testing.T) {
		ctx, cancel := ending(t)
		r := request(t, "ws://127.0.0.1:1/")
		r.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			cancel()
			<-ctx.Done()
			return nil, errors.New("gave up")
		}
		te := dialError(t, ctx, r)
		assert.Equal(t, transport.PhaseConnect, te.Phase)
		require.ErrorIs(t, te, context.Canceled)
	})
	t.Run("tls", func(t *testing.T) {
		ctx, cancel := ending(t)
		te := dialError(t, ctx, request(t, "wss://"+hang(t, 1, cancel)))
		assert.Equal(t, transport.PhaseTLS, te.Phase)
		require.ErrorIs(t, te, context.Canceled)
	})
	t.Run("handshake", func(t *testing.T) {
		ctx, cancel := ending(t)
		te := dialError(t, ctx, request(t, "ws://"+hang(t, 1, cancel)))
		assert.Equal(t, transport.PhaseHandshake, te.Phase)
		require.ErrorIs(t, te, context.Canceled)
	})
	t.Run("proxy", func(t *testing.T) {
		for _, scheme := range []string{"http", "https", "socks5"} {
			ctx, cancel := ending(t)
			r := request(t, "wss://target.test/")
			r.Proxy = http.ProxyURL(parse(t, scheme+"://u:SECRET@"+hang(t, 1, cancel)))
			te := dialError(t, ctx, r)
			assert.Equal(t, transport.PhaseProxy, te.Phase)
			assert.True(t, te.Proxied)
			require.ErrorIs(t, te, context.Canceled)
		}
	})
	t.Run("authorize", func(t *testing.T) {
		ctx, cancel := ending(t)
		r := request(t, "ws://127.0.0.1:1/")
		r.Authorize = func(ctx context.Context, _ *http.Request) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		te := dialError(t, ctx, r)
		assert.Equal(t, transport.PhaseAuthorize, te.Phase)
		require.ErrorIs(t, te, context.Canceled)
	})
}

func TestDialerThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := memnet.New()
		ln, err := nw.Listen("127.0.0.1:80")
		require.NoError(t, err)
		r := request(t, "ws://127.0.0.1/")
		r.DialContext = func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(time.Hour)
			return nw.DialContext(context.Background(), "tcp", "127.0.0.1:80")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		te := dialError(t, ctx, r)
		assert.Equal(t, transport.PhaseConnect, te.Phase)
		require.ErrorIs(t, te, context.DeadlineExceeded)
		assert.Equal(t, time.Hour, time.Since(start), "Dial waits for it")

		c, err := ln.Accept()
		require.NoError(t, err)
		_, err = c.Read(make([]byte, 1))
		require.Error(t, err, "the late connection is closed")
		c.Close()
	})
}

// coder would read the body of a 101 that it rejects, which is the connection.
func TestRejectedAnswerTakesNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := memnet.New()
		ln, err := nw.Listen("127.0.0.1:80")
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := ln.Accept()
			if err != nil {
				return
			}
			w := &wire{Conn: c}
			readRequest(w)
			c.Write([]byte("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
			w.drain()
			c.Close()
		}()
		r := request(t, "ws://127.0.0.1/")
		r.DialContext = nw.DialContext
		start := time.Now()
		dialError(t, t.Context(), r)
		assert.Zero(t, time.Since(start))
		<-done
	})
}

// The dial's context is not the link's.
func TestLinkOutlivesItsDial(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := wslink.New().Dial(ctx, request(t, httpServer(t, echo(nil))))
	require.NoError(t, err)
	defer l.Abort()
	cancel()
	_, err = l.Write([]transport.Message{{Type: transport.Text, Data: []byte("x")}})
	require.NoError(t, err)
	_, _, err = l.Read(nil)
	require.NoError(t, err)
}
