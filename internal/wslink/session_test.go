//go:build !js

package wslink_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	batch "github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// helloText is the text of hello in a header.
const helloText = "SECRET-_SECRETxx"

// session is one whose HELLO shows in dialError if it gets into an error.
type session struct{ transport.Session }

func (session) Hello() []byte {
	b, _ := base64.RawURLEncoding.DecodeString(helloText)
	return b
}

// welcome accepts with header and says what it was asked.
func welcome(header http.Header, seen chan<- *http.Request) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		for key, list := range header {
			w.Header()[key] = list
		}
		echo(anyOrigin)(w, r)
	}
}

func TestSessionOffer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		session transport.Session
		answer  http.Header
		want    bool
	}{
		{"taken", session{}, http.Header{"Holdfast-Version": {"1"}}, true},
		{"not known", session{}, nil, false},
		{"another version", session{}, http.Header{"Holdfast-Version": {"2"}}, false},
		{"not offered", nil, http.Header{"Holdfast-Version": {"1"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(chan *http.Request, 1)
			r := request(t, httpServer(t, welcome(tt.answer, seen)))
			r.Session = tt.session
			r.Subprotocols = []string{"a", "b"}
			l := dial(t, r)
			got := receive(t, seen).Header
			assert.Equal(t, "a,b", got.Get("Sec-WebSocket-Protocol"), "as they are")
			if tt.session == nil {
				assert.Empty(t, got.Values("Holdfast-Hello"))
			} else {
				assert.Equal(t, []string{helloText}, got.Values("Holdfast-Hello"))
			}
			assert.Equal(t, tt.want, l.Info().Session)
			assert.Equal(t, "GET", l.Info().Response.Request.Method)
			assert.NotContains(t, fmt.Sprint(l.Info().Response.Request.Header), "SECRET")
		})
	}
}

func TestHeadersOfTheProtocolAreItsOwn(t *testing.T) {
	for _, s := range []transport.Session{session{}, nil} {
		seen := make(chan *http.Request, 1)
		r := request(t, httpServer(t, welcome(nil, seen)))
		r.Session = s
		r.Header = http.Header{"holdfast-hello": {"mine"}, "HOLDFAST-Session": {"mine"}, "X-Mine": {"1"}}
		r.Authorize = func(_ context.Context, r *http.Request) error {
			assert.Empty(t, r.Header.Get("Holdfast-Hello"), "a secret")
			r.Header.Set("Holdfast-Hello", "mine")
			return nil
		}
		dial(t, r)
		got := receive(t, seen).Header
		assert.Equal(t, "1", got.Get("X-Mine"))
		for key, list := range got {
			if strings.HasPrefix(key, "Holdfast-") {
				assert.Equal(t, "Holdfast-Hello", key)
				assert.Equal(t, []string{helloText}, list)
				assert.NotNil(t, s)
			}
		}
	}
}

func TestSessionAcrossRedirects(t *testing.T) {
	seen := make(chan *http.Request, 2)
	version := http.Header{"Holdfast-Version": {"1"}}
	first := ""
	other := httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/back" {
			seen <- r
			http.Redirect(w, r, "http"+strings.TrimPrefix(first, "ws")+"/home", http.StatusFound)
			return
		}
		welcome(version, seen)(w, r)
	})
	first = httpServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/home" {
			welcome(version, seen)(w, r)
			return
		}
		assert.Equal(t, helloText, r.Header.Get("Holdfast-Hello"))
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
	})
	far := "http" + strings.TrimPrefix(other, "ws")
	for _, tt := range []struct {
		to   string
		asks int
		want bool
	}{{"/home", 1, true}, {far + "/away", 1, false}, {far + "/back", 2, false}} {
		r := request(t, first+"/start?to="+tt.to)
		r.Session = session{}
		r.Jar, _ = cookiejar.New(nil)
		l := dial(t, r)
		for range tt.asks {
			got := receive(t, seen)
			assert.Equal(t, tt.want, got.Header.Get("Holdfast-Hello") == helloText, tt.to)
			assert.Equal(t, tt.want, len(got.Header.Values("Holdfast-Hello")) > 0, tt.to)
		}
		assert.Equal(t, tt.want, l.Info().Session, tt.to)
	}
}

// A server, or a proxy on the way, that puts the request into its answer.
func TestHelloShowsInNoError(t *testing.T) {
	for name, answer := range map[string]string{
		"not HTTP":      "{}\r\n\r\n",
		"a header":      "HTTP/1.1 101 {}\r\n{}\r\n\r\n",
		"not upgraded":  "HTTP/1.1 101 X\r\nConnection: {}\r\nUpgrade: websocket\r\n\r\n",
		"a subprotocol": "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: []\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
		"refused":       "HTTP/1.1 400 {}\r\nContent-Length: 14\r\n\r\n{}",
		"redirected":    "HTTP/1.1 302 X\r\nLocation: ftp://h/{}\r\n\r\n",
		"nothing":       "",
	} {
		t.Run(name, func(t *testing.T) {
			ln := listen(t, func(c net.Conn) {
				req, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				io.WriteString(c, strings.NewReplacer("{}", req.Header.Get("Holdfast-Hello"), "[]", accept(req)).Replace(answer))
			})
			r := request(t, "ws://"+ln.Addr().String())
			r.Session = session{}
			te := dialError(t, testContext(t), r)
			assert.Equal(t, transport.PhaseHandshake, te.Phase)
		})
	}
}

func TestSessionsBoundTheirBatches(t *testing.T) {
	for _, size := range []int{batch.MaxBatch, batch.MaxBatch + 1} {
		code := make(chan uint16, 1)
		ln := listen(t, func(c net.Conn) {
			w := answerUpgrade(c, "Holdfast-Version: 1\r\n")
			if w == nil {
				return
			}
			w.Write(frame(0x82, make([]byte, size)...))
			code <- w.nextClose()
		})
		r := request(t, "ws://"+ln.Addr().String())
		r.Session, r.MaxMessageSize = session{}, 10
		l := dial(t, r)
		_, data, err := l.Read(nil)
		if size == batch.MaxBatch {
			require.NoError(t, err, "MaxMessageSize is of messages, not of batches")
			assert.Len(t, data, size)
			continue
		}
		require.ErrorIs(t, err, transport.ErrMessageTooBig)
		assert.Equal(t, uint16(1009), receive(t, code))
	}
}

func TestConnectedComesBeforeTheRequest(t *testing.T) {
	var asked atomic.Bool
	h := func(w http.ResponseWriter, r *http.Request) {
		asked.Store(true)
		echo(nil)(w, r)
	}
	ws := httpServer(t, h)
	wss, cfg := tlsServer(t, h)
	for _, url := range []string{ws, wss} {
		asked.Store(false)
		calls := 0
		r := request(t, url)
		r.TLSConfig = cfg
		var conn *countingConn
		r.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, network, addr)
			conn = &countingConn{Conn: c}
			return conn, err
		}
		r.Connected = func() {
			calls++
			assert.Equal(t, url == wss, conn.written.Load() > 0, "TLS is done, and nothing else")
			assert.False(t, asked.Load())
		}
		dial(t, r)
		assert.Equal(t, 1, calls)
		assert.True(t, asked.Load())
	}
	r := request(t, wss) // which it does not trust
	r.Connected = func() { assert.Fail(t, "not connected") }
	assert.Equal(t, transport.PhaseTLS, dialError(t, testContext(t), r).Phase)
}

// countingConn counts the bytes that are written to it.
type countingConn struct {
	net.Conn
	written atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	return c.Conn.Write(p)
}
