package holdfasttest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/memnet"
)

func TestServerEchoes(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		c, resp, err := s.ask(t, handshake(""))
		require.NoError(t, err)
		assert.Equal(t, 101, resp.StatusCode)
		assert.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", resp.Header.Get("Sec-WebSocket-Accept"))
		assert.Empty(t, resp.Header.Get("Sec-WebSocket-Protocol"))
		for _, n := range []int{0, 1, 125, 126, 65535, 65536, 200_000} {
			b := bytes.Repeat([]byte("x"), n)
			c.send(Frame{Fin: true, Opcode: OpBinary, Payload: b})
			c.expect(true, OpBinary, string(b))
		}
		c.text("hé")
		c.expect(true, OpText, "hé")
		assert.Equal(t, 1, s.Requests())
		assert.Equal(t, 1, s.Accepted())

		c.send(closing(1000, "bye"))
		c.expect(true, OpClose, closePayload(1000, ""))
		assert.Equal(t, io.EOF, c.expectEnd())
		require.NoError(t, s.WaitPeers(t.Context(), 0))
	})
}

func TestServerURL(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := NewTLSServer(l, nil)
	defer s.Close()
	assert.Equal(t, "wss://"+l.Addr().String()+"/", s.URL())
	assert.Nil(t, inMemory(t).ClientTLSConfig())
	assert.Equal(t, "ws://198.18.0.1:80/", inMemory(t).URL())
}

func TestReplies(t *testing.T) {
	for name, tt := range map[string]struct {
		reply  Reply
		status int
		header http.Header
		body   string
	}{
		"default":     {nil, 101, http.Header{"Upgrade": {"websocket"}}, ""},
		"subprotocol": {Accept{Subprotocol: "v2"}, 101, http.Header{"Sec-Websocket-Protocol": {"v2"}}, ""},
		"header": {Accept{Header: http.Header{"Sec-WebSocket-Accept": {"wrong"}, "Set-Cookie": {"a=b"}}}, 101,
			http.Header{"Sec-Websocket-Accept": {"wrong"}, "Set-Cookie": {"a=b"}}, ""},
		"refuse": {Refuse{Status: 429, Header: http.Header{"Retry-After": {"7"}}, Body: "later"}, 429,
			http.Header{"Retry-After": {"7"}, "Connection": {"close"}}, "later"},
		"refuse zero": {Refuse{}, 503, nil, ""},
		"raw":         {Raw{Bytes: []byte("HTTP/1.0 200 Fine\r\n\r\nbody")}, 200, nil, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			stages(t, func(t *testing.T, s stage) {
				s.OnRequest(func(n int, r *http.Request) Reply {
					assert.Equal(t, 1, n)
					assert.Equal(t, "/path?q=1", r.URL.String())
					return tt.reply
				})
				_, resp, err := s.ask(t, handshake(""))
				require.NoError(t, err)
				assert.Equal(t, tt.status, resp.StatusCode)
				for k, v := range tt.header {
					if k == "Connection" { // ReadResponse takes it out
						assert.True(t, resp.Close)
						continue
					}
					assert.Equal(t, v, resp.Header[k], k)
				}
				if tt.status != 101 {
					b, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					assert.Equal(t, tt.body, string(b))
					assert.Zero(t, s.Accepted())
				}
				assert.Equal(t, 1, s.Requests())
			})
		})
	}
}

func TestRepliesWithoutAnAnswer(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		s.OnRequest(func(int, *http.Request) Reply { return Drop{} })
		_, _, err := s.ask(t, handshake(""))
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		s.OnRequest(func(int, *http.Request) Reply { return Reset{} })
		_, _, err = s.ask(t, handshake(""))
		assert.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestReplyHang(t *testing.T) {
	for name, reply := range map[string]Reply{"hang": Hang{}, "raw": Raw{Hold: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inMemory(t)
				s.OnRequest(func(int, *http.Request) Reply { return reply })
				start := time.Now()
				c, _, err := s.ask(t, handshake(""))
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
				assert.Equal(t, time.Minute, time.Since(start))
				s.Close()
				require.NoError(t, c.SetDeadline(time.Time{}))
				assert.ErrorIs(t, c.expectEnd(), io.EOF)
			})
		})
	}
}

func TestPlainHTTPIsNotCounted(t *testing.T) {
	s := inMemory(t)
	const plain = "GET / HTTP/1.1\r\nHost: server.example\r\n\r\n"
	_, resp, err := s.ask(t, plain)
	require.NoError(t, err)
	assert.Equal(t, 426, resp.StatusCode)
	s.OnRequest(func(n int, r *http.Request) Reply {
		if n == 0 {
			return Refuse{Status: 200}
		}
		return nil
	})
	_, resp, err = s.ask(t, plain)
	require.NoError(t, err)
	assert.Equal(t, 200, resp.StatusCode)
	assert.Zero(t, s.Requests())
	s.connect(t)
	assert.Equal(t, 1, s.Requests())
}

func TestGarbageInPlaceOfARequest(t *testing.T) {
	s := inMemory(t)
	_, resp, err := s.ask(t, "\x16\x03\x01 this is not HTTP\r\n\r\n")
	require.NoError(t, err)
	assert.Equal(t, 400, resp.StatusCode)
	_, _, err = s.ask(t, "GET / HTTP/1.1\r\n"+string(bytes.Repeat([]byte("X: y\r\n"), maxHead/6+100)))
	_ = err // a response or a reset: unread bytes are left; what counts is that it ends
	require.NoError(t, s.WaitPeers(t.Context(), 0))
}

func TestPlainHTTPToATLSServer(t *testing.T) {
	n := memnet.New()
	l, err := n.Listen("server.example:443")
	require.NoError(t, err)
	s := NewTLSServer(l, nil)
	defer s.Close()
	_, resp, err := stage{s, func() net.Conn {
		c, err := n.DialContext(context.Background(), "tcp", "server.example:443")
		require.NoError(t, err)
		return c
	}}.ask(t, handshake(""))
	require.NoError(t, err)
	assert.Equal(t, 400, resp.StatusCode)
}

func TestTLSInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		l, err := n.Listen("example.com:443")
		require.NoError(t, err)
		s := NewTLSServer(l, nil)
		defer s.Close()
		c := stage{s, func() net.Conn {
			c, err := n.DialContext(context.Background(), "tcp", "example.com:443")
			require.NoError(t, err)
			cfg := s.ClientTLSConfig()
			cfg.ServerName = "example.com"
			return tls.Client(c, cfg)
		}}.connect(t)
		c.text("x")
		c.expect(true, OpText, "x")
		require.NoError(t, c.Close())
	})
}

func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, s.WaitAccepted(ctx, 1), context.DeadlineExceeded)
		done := make(chan error, 3)
		go func() { done <- s.WaitRequests(t.Context(), 2) }()
		go func() { done <- s.WaitAccepted(t.Context(), 2) }()
		go func() { done <- s.WaitPeers(t.Context(), 2) }()
		s.connect(t)
		synctest.Wait()
		assert.Empty(t, done)
		s.connect(t)
		synctest.Wait()
		assert.Len(t, done, 3)
		peers := s.Peers()
		require.Len(t, peers, 2)
		assert.Equal(t, 1, peers[0].N())
		assert.Equal(t, 2, peers[1].N())
	})
}

// What the test does after the client is connected must reach the peer.
func TestPeerIsKnownOnceTheClientIsConnected(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		for range 50 {
			c := s.connect(t)
			s.DropAll()
			assert.Error(t, c.expectEnd())
		}
	})
}

func TestAllAtOnce(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		both := func() [2]*client { return [2]*client{s.connect(t), s.connect(t)} }

		cs := both()
		done := make(chan struct{})
		go func() { defer close(done); s.CloseAll(1012, "restart") }()
		for _, c := range cs {
			c.expect(true, OpClose, closePayload(1012, "restart"))
			c.send(closing(1012, ""))
			assert.Equal(t, io.EOF, c.expectEnd())
		}
		<-done

		cs = both()
		s.DropAll()
		for _, c := range cs {
			assert.ErrorIs(t, c.expectEnd(), io.EOF)
		}

		cs = both()
		s.ResetAll()
		for _, c := range cs {
			assert.ErrorIs(t, c.expectEnd(), syscall.ECONNRESET)
		}

		require.NoError(t, s.WaitPeers(t.Context(), 0))
		assert.Equal(t, 6, s.Accepted())
	})
}

func TestFreezeAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		c := s.connect(t)
		s.FreezeAll(true)
		c.send(Frame{Fin: true, Opcode: OpPing, Payload: []byte("anyone?")})
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		assert.ErrorIs(t, c.expectEnd(), os.ErrDeadlineExceeded)

		later := s.connect(t)
		later.text("not frozen")
		later.expect(true, OpText, "not frozen")

		s.FreezeAll(false)
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		c.expect(true, OpPong, "anyone?")
	})
}

func TestServerCloseJoinsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		var ended atomic.Int32
		s.OnConnect(func(p *Peer) { <-p.Done(); ended.Add(1) })
		waiting := s.connect(t)
		frozen := s.connect(t)
		s.FreezeAll(true)
		s.OnRequest(func(int, *http.Request) Reply { return Hang{} })
		silent := s.dial()
		hanging := s.dial()
		_, err := io.WriteString(hanging, handshake(""))
		require.NoError(t, err)
		synctest.Wait()
		s.Close()
		s.Close()
		assert.EqualValues(t, 2, ended.Load())
		assert.Empty(t, s.Peers())
		for _, c := range []net.Conn{waiting, frozen, silent, hanging} {
			_, err := c.Read(make([]byte, 1))
			assert.True(t, err == io.EOF || errors.Is(err, syscall.ECONNRESET))
			_ = c.Close()
		}
	})
}

func TestServerComesBackAtTheSameAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := NewServer(l)
	url := s.URL()
	s.Close()
	l, err = net.Listen("tcp", l.Addr().String())
	require.NoError(t, err)
	s = NewServer(l)
	defer s.Close()
	assert.Equal(t, url, s.URL())
}
