//go:build !js

package wslink_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/memnet"
	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

// accepting serves each link with serve, and frees it then.
func accepting(t *testing.T, o *wslink.AcceptOptions, serve func(transport.Link)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l, err := wslink.Accept(w, r, o)
		if !assert.NoError(t, err) {
			return
		}
		defer l.Abort()
		serve(l)
	}
}

// echoLink sends every message back until the link ends.
func echoLink(l transport.Link) {
	for {
		typ, data, err := l.Read(nil)
		if err != nil {
			return
		}
		if _, err := l.Write([]transport.Message{{Type: typ, Data: data}}); err != nil {
			return
		}
	}
}

var variety = []transport.Message{
	{Type: transport.Text, Data: []byte("hëllo")},
	{Type: transport.Binary, Data: []byte{}},
	{Type: transport.Binary, Data: randomBytes(70_000)},
	{Type: transport.Text, Data: bytes.Repeat([]byte("again "), 50_000)},
	{Type: transport.Binary, Data: randomBytes(126)},
}

func TestAcceptOwnClient(t *testing.T) {
	ended := make(chan error, 1)
	infos := make(chan *transport.Info, 1)
	h := accepting(t, &wslink.AcceptOptions{Compression: true, Subprotocols: []string{"b", "a"}, WriteTimeout: patience}, func(l transport.Link) {
		infos <- l.Info()
		echoLink(l)
		_, _, err := l.Read(nil)
		ended <- err
	})
	ws := httpServer(t, h)
	wss, cfg := tlsServer(t, h)
	for _, url := range []string{ws, wss} {
		for _, compress := range []bool{false, true} {
			r := request(t, url)
			r.TLSConfig, r.Compression, r.Subprotocols = cfg, compress, []string{"a", "b"}
			l := dial(t, r)
			assert.Equal(t, "b", l.Info().Subprotocol, "the server's order counts")
			assert.Equal(t, compress, l.Info().Response.Header.Get("Sec-WebSocket-Extensions") != "")
			info := receive(t, infos)
			assert.Equal(t, "b", info.Subprotocol)
			assert.Equal(t, l.Info().LocalAddr.String(), info.RemoteAddr.String())
			assert.Equal(t, l.Info().RemoteAddr.String(), info.LocalAddr.String())
			assert.Nil(t, info.Response)
			assert.False(t, info.Session)

			sent := make(chan error, 1)
			go func() {
				_, err := l.Write(variety)
				sent <- err
			}()
			for _, m := range variety {
				typ, data, err := l.Read([]byte{})
				require.NoError(t, err)
				assert.Equal(t, m.Type, typ)
				require.Equal(t, m.Data, data)
			}
			require.NoError(t, receive(t, sent))
			readOn(l)
			require.NoError(t, l.Close(testContext(t), 4001, "bye"))
			assert.Equal(t, &transport.CloseError{Code: 4001, Reason: "bye"}, receive(t, ended))
		}
	}
}

func TestAcceptAnotherClient(t *testing.T) {
	ended := make(chan error, 1)
	url := httpServer(t, accepting(t, &wslink.AcceptOptions{Compression: true}, func(l transport.Link) {
		echoLink(l)
		_, _, err := l.Read(nil)
		ended <- err
	}))
	for _, mode := range []websocket.CompressionMode{websocket.CompressionDisabled, websocket.CompressionContextTakeover, websocket.CompressionNoContextTakeover} {
		c, _, err := websocket.Dial(testContext(t), url, &websocket.DialOptions{CompressionMode: mode})
		require.NoError(t, err)
		defer c.CloseNow()
		c.SetReadLimit(-1)
		for _, m := range variety {
			require.NoError(t, c.Write(testContext(t), websocket.MessageType(m.Type), m.Data))
			typ, data, err := c.Read(testContext(t))
			require.NoError(t, err)
			assert.Equal(t, websocket.MessageType(m.Type), typ)
			require.Equal(t, m.Data, data)
		}
		reading := c.CloseRead(testContext(t))
		require.NoError(t, c.Ping(testContext(t)))
		require.NoError(t, c.Close(websocket.StatusNormalClosure, "bye"))
		<-reading.Done()
		assert.Equal(t, &transport.CloseError{Code: 1000, Reason: "bye"}, receive(t, ended))
	}
}

func TestTheServerCloses(t *testing.T) {
	closed := make(chan error, 1)
	url := httpServer(t, accepting(t, nil, func(l transport.Link) {
		readOn(l)
		closed <- l.Close(testContext(t), 1001, "a deploy")
	}))
	l := dial(t, request(t, url))
	_, _, err := l.Read(nil)
	assert.Equal(t, &transport.CloseError{Code: 1001, Reason: "a deploy"}, err)
	require.NoError(t, receive(t, closed), "the client answers")

	c, _, err := websocket.Dial(testContext(t), url, nil)
	require.NoError(t, err)
	defer c.CloseNow()
	_, _, err = c.Read(testContext(t))
	assert.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
	require.NoError(t, receive(t, closed))
}

// Both ends measure the way with pings of their own.
func TestPingsBothWays(t *testing.T) {
	pongs := make(chan uint64, 2)
	url := httpServer(t, accepting(t, &wslink.AcceptOptions{OnPong: func(id uint64) { pongs <- id }}, func(l transport.Link) {
		assert.NoError(t, l.Ping(1<<40))
		echoLink(l)
	}))
	r := request(t, url)
	r.OnPong = func(id uint64) { pongs <- id }
	l := dial(t, r)
	readOn(l)
	require.NoError(t, l.Ping(7))
	assert.ElementsMatch(t, []uint64{7, 1 << 40}, []uint64{receive(t, pongs), receive(t, pongs)})
}

func TestAcceptSaysSession(t *testing.T) {
	infos := make(chan *transport.Info, 1)
	for _, tt := range []struct {
		session     bool
		subprotocol string
	}{{true, ""}, {true, "app"}, {false, "app"}} {
		o := &wslink.AcceptOptions{Session: tt.session, Subprotocols: []string{tt.subprotocol}}
		url := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Mine", "1")
			accepting(t, o, func(l transport.Link) {
				infos <- l.Info()
				echoLink(l)
			})(w, r)
		})
		r := request(t, url)
		r.Session, r.Subprotocols = session{}, []string{"app"}
		l := dial(t, r)
		assert.Equal(t, tt.session, l.Info().Session)
		assert.Equal(t, tt.subprotocol, l.Info().Subprotocol)
		assert.Equal(t, "1", l.Info().Response.Header.Get("X-Mine"))
		info := receive(t, infos)
		assert.Equal(t, tt.session, info.Session)
		assert.Equal(t, tt.subprotocol, info.Subprotocol)
	}
	// As a browser asks for it.
	url := httpServer(t, accepting(t, &wslink.AcceptOptions{Session: true, Subprotocols: []string{wslink.SessionSubprotocol}}, func(l transport.Link) {
		infos <- l.Info()
		echoLink(l)
	}))
	r := request(t, url)
	r.Subprotocols = []string{wslink.SessionSubprotocol, "app"}
	assert.Equal(t, "holdfast.v1", dial(t, r).Info().Response.Header.Get("Sec-WebSocket-Protocol"))
	info := receive(t, infos)
	assert.True(t, info.Session)
	assert.Empty(t, info.Subprotocol)
}

func TestAcceptRefuses(t *testing.T) {
	upgrade := http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		o      *wslink.AcceptOptions
		status int
	}{
		{"no upgrade", func(r *http.Request) { r.Header = http.Header{} }, nil, 426},
		{"to something else", func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, nil, 426},
		{"method", func(r *http.Request) { r.Method = http.MethodPost }, nil, 405},
		{"version", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, nil, 400},
		{"key", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "x") }, nil, 400},
		{"origin", func(r *http.Request) { r.Header.Set("Origin", "https://evil.test") }, nil, 403},
		{"pattern", func(r *http.Request) { r.Header.Set("Origin", "https://evil.test") }, &wslink.AcceptOptions{OriginPatterns: []string{"*.good.test"}}, 403},
		{"pattern that fits", func(r *http.Request) { r.Header.Set("Origin", "https://a.good.test") }, &wslink.AcceptOptions{OriginPatterns: []string{"*.good.test"}}, 101},
		{"origin unchecked", func(r *http.Request) { r.Header.Set("Origin", "https://evil.test") }, &wslink.AcceptOptions{SkipOrigin: true}, 101},
		{"nothing wrong", func(*http.Request) {}, nil, 101},
	} {
		t.Run(tt.name, func(t *testing.T) {
			failed := make(chan error, 1)
			url := "http" + strings.TrimPrefix(httpServer(t, func(w http.ResponseWriter, r *http.Request) {
				l, err := wslink.Accept(w, r, tt.o)
				if err == nil {
					l.Abort()
				} else {
					assert.Nil(t, l)
				}
				failed <- err
			}), "ws")
			req, err := http.NewRequestWithContext(testContext(t), http.MethodGet, url, nil)
			require.NoError(t, err)
			req.Header = upgrade.Clone()
			tt.change(req)
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			resp, err := tr.RoundTrip(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			assert.Equal(t, tt.status, resp.StatusCode)
			if err := receive(t, failed); tt.status == 101 {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
		})
	}
	w := httptest.NewRecorder() // which cannot be hijacked
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = upgrade
	_, err := wslink.Accept(w, r, nil)
	require.Error(t, err)
	assert.Equal(t, http.StatusNotImplemented, w.Code)
}

type wrapped struct{ inner http.ResponseWriter }

func (w wrapped) Header() http.Header         { return w.inner.Header() }
func (w wrapped) Write(p []byte) (int, error) { return w.inner.Write(p) }
func (w wrapped) WriteHeader(code int)        { w.inner.WriteHeader(code) }
func (w wrapped) Unwrap() http.ResponseWriter { return w.inner }

// late puts the header off, as frameworks do.
type late struct {
	http.ResponseWriter
	code int
}

func (w *late) WriteHeader(code int)        { w.code = code }
func (w *late) WriteHeaderNow()             { w.ResponseWriter.WriteHeader(w.code) }
func (w *late) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// hurried leaves its deadlines on what it gives away, as it may.
type hurried struct{ http.ResponseWriter }

func (w hurried) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := w.ResponseWriter.(http.Hijacker).Hijack()
	if err == nil {
		err = conn.SetDeadline(time.Unix(1, 0))
	}
	return conn, brw, err
}

func TestAcceptThroughWrappers(t *testing.T) {
	for name, wrap := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"wrapped": func(w http.ResponseWriter) http.ResponseWriter { return wrapped{wrapped{w}} },
		"late":    func(w http.ResponseWriter) http.ResponseWriter { return &late{ResponseWriter: w} },
		"hurried": func(w http.ResponseWriter) http.ResponseWriter { return hurried{w} },
	} {
		url := httpServer(t, func(w http.ResponseWriter, r *http.Request) { accepting(t, nil, echoLink)(wrap(w), r) })
		l, err := wslink.New().Dial(testContext(t), request(t, url))
		require.NoError(t, err, name)
		talk(t, l)
	}
}

type brokenHijacker struct{ *httptest.ResponseRecorder }

var errHijack = errors.New("taken already")

func (brokenHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errHijack }

func TestAcceptCannotHijack(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}
	_, err := wslink.Accept(brokenHijacker{httptest.NewRecorder()}, r, nil)
	require.ErrorContains(t, err, errHijack.Error())
}

// memServer serves h on a network in memory until stop, for a bubble.
func memServer(t *testing.T, s *http.Server) (nw *memnet.Network, stop func()) {
	nw = memnet.New()
	ln, err := nw.Listen("127.0.0.1:80")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	return nw, func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	}
}

// What bounds a request does not bound the link, which outlives its handler too.
func TestDeadlinesOfTheServerEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		links := make(chan transport.Link, 1)
		nw, stop := memServer(t, &http.Server{
			ReadTimeout: time.Second, WriteTimeout: time.Second, IdleTimeout: time.Second,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				assert.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
				assert.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
				l, err := wslink.Accept(w, r, nil)
				assert.NoError(t, err)
				links <- l
			}),
		})
		r := request(t, "ws://127.0.0.1/")
		r.DialContext = nw.DialContext
		l, err := wslink.New().Dial(t.Context(), r)
		require.NoError(t, err)
		server := <-links
		made := time.Now()
		assert.True(t, server.LastRead().Equal(made))
		go echoLink(server)
		time.Sleep(time.Hour)
		_, err = l.Write([]transport.Message{{Type: transport.Text, Data: []byte("x")}})
		require.NoError(t, err)
		_, data, err := l.Read(nil)
		require.NoError(t, err)
		assert.Equal(t, "x", string(data))
		assert.Equal(t, time.Hour, server.LastRead().Sub(made))
		l.Abort()
		server.Abort()
		stop()
	})
}

// A peer that takes little is not one that takes nothing.
func TestSlowPeerOutlastsTheWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 2 << 20
		written := make(chan error, 1)
		nw, stop := memServer(t, &http.Server{Handler: accepting(t, &wslink.AcceptOptions{WriteTimeout: 10 * time.Second}, func(l transport.Link) {
			for _, n := range []int{size, 64 << 20} {
				_, err := l.Write([]transport.Message{{Type: transport.Binary, Data: make([]byte, n)}})
				written <- err
			}
		})})
		c, err := nw.DialContext(t.Context(), "tcp", "127.0.0.1:80")
		require.NoError(t, err)
		p := shake(t, c, "", nil)
		start := time.Now()
		buf := make([]byte, 32<<10)
		for read := 0; read < size; {
			time.Sleep(5 * time.Second)
			n, err := p.br.Read(buf)
			require.NoError(t, err)
			read += n
		}
		require.NoError(t, <-written)
		assert.Greater(t, time.Since(start), time.Minute)
		require.Error(t, <-written, "nothing is taken any more")
		c.Close()
		synctest.Wait()
		stop()
	})
}

func TestServersLinkIsAborted(t *testing.T) {
	for name, call := range map[string]func(transport.Link) error{
		"under a Read":  func(l transport.Link) error { _, _, err := l.Read(nil); return err },
		"under a Write": func(l transport.Link) error { return writeFor(l) },
		"under a Close": func(l transport.Link) error { return l.Close(context.Background(), 1000, "") },
	} {
		t.Run(name, func(t *testing.T) {
			// A goroutine that is left fails the bubble.
			synctest.Test(t, func(t *testing.T) {
				links := make(chan transport.Link, 1)
				failed := make(chan error, 1)
				nw, stop := memServer(t, &http.Server{Handler: accepting(t, nil, func(l transport.Link) {
					links <- l
					failed <- call(l)
				})})
				c, err := nw.DialContext(t.Context(), "tcp", "127.0.0.1:80")
				require.NoError(t, err)
				p := shake(t, c, "", nil)
				l := <-links
				synctest.Wait()
				start := time.Now()
				l.Abort()
				require.Error(t, <-failed)
				assert.Zero(t, time.Since(start))
				io.Copy(io.Discard, p.br) // ends
				c.Close()
				stop()
			})
		})
	}
}

// writeFor writes until it cannot.
func writeFor(l transport.Link) error {
	for {
		if _, err := l.Write([]transport.Message{{Type: transport.Binary, Data: make([]byte, 1<<20)}}); err != nil {
			return err
		}
	}
}

// Over TLS too Abort waits for nobody: tls.Conn would say goodbye first.
func TestServersLinkIsAbortedUnderTLS(t *testing.T) {
	certificate := testCertificate(t)
	synctest.Test(t, func(t *testing.T) {
		nw := memnet.New()
		ln, err := nw.Listen("127.0.0.1:443")
		require.NoError(t, err)
		stuck := &stuckListener{Listener: ln}
		aborted := make(chan time.Duration, 1)
		s := &http.Server{
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
			Handler: accepting(t, nil, func(l transport.Link) {
				stuck.on.Store(true)
				start := time.Now()
				l.Abort()
				aborted <- time.Since(start)
			}),
		}
		served := make(chan error, 1)
		go func() { served <- s.ServeTLS(stuck, "", "") }()
		r := request(t, "wss://127.0.0.1/")
		r.DialContext, r.TLSConfig = nw.DialContext, &tls.Config{InsecureSkipVerify: true}
		l, err := wslink.New().Dial(t.Context(), r)
		require.NoError(t, err)
		assert.Zero(t, <-aborted)
		l.Abort()
		require.NoError(t, s.Close())
		<-served
	})
}

// stuckListener has connections that, once on, write nothing until they are closed.
type stuckListener struct {
	net.Listener
	on atomic.Bool
}

func (l *stuckListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stuckConn{Conn: c, on: &l.on, closed: make(chan struct{})}, nil
}

type stuckConn struct {
	net.Conn
	on     *atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.on.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
