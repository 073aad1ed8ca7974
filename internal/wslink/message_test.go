//go:build !js

package wslink_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

func TestEcho(t *testing.T) {
	wss, cfg := tlsServer(t, echo(&websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover}))
	ws := httpServer(t, echo(&websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover}))
	for _, tt := range []struct {
		name, url string
		compress  bool
	}{
		{"ws", ws, false}, {"ws, compressed", ws, true}, {"wss", wss, false}, {"wss, compressed", wss, true},
		{"http", "http" + strings.TrimPrefix(ws, "ws"), false}, {"https", "https" + strings.TrimPrefix(wss, "wss"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, tt.url)
			r.TLSConfig, r.Compression = cfg, tt.compress
			l := dial(t, r)
			info := l.Info()
			assert.Equal(t, 101, info.Response.StatusCode)
			assert.Equal(t, tt.compress, info.Response.Header.Get("Sec-WebSocket-Extensions") != "")
			body, err := io.ReadAll(info.Response.Body)
			require.NoError(t, err)
			assert.Empty(t, body)
			assert.Equal(t, r.URL.Host, info.RemoteAddr.String())
			assert.NotNil(t, info.LocalAddr)

			msgs := []transport.Message{
				{Type: transport.Text, Data: []byte("hëllo")},
				{Type: transport.Binary, Data: nil},
				{Type: transport.Binary, Data: randomBytes(70_000)},
				{Type: transport.Text, Data: bytes.Repeat([]byte("again "), 10_000)},
				{Type: transport.Binary, Data: randomBytes(126)},
			}
			sent := make(chan error, 1)
			go func() {
				n, err := l.Write(msgs)
				if err == nil && n != len(msgs) {
					err = io.ErrShortWrite
				}
				sent <- err
			}()
			prefix := []byte("prefix")
			for _, m := range msgs {
				typ, data, err := l.Read(prefix)
				require.NoError(t, err)
				assert.Equal(t, m.Type, typ)
				require.Equal(t, append([]byte("prefix"), m.Data...), data)
			}
			require.NoError(t, receive(t, sent))
			readOn(l)
			require.NoError(t, l.Close(testContext(t), 1000, "bye"))
		})
	}
}

func TestReadReusesCapacity(t *testing.T) {
	l := dial(t, request(t, httpServer(t, echo(nil))))
	_, err := l.Write([]transport.Message{{Type: transport.Binary, Data: []byte("abc")}})
	require.NoError(t, err)
	buf := make([]byte, 0, 64)
	_, data, err := l.Read(buf)
	require.NoError(t, err)
	assert.Equal(t, "abc", string(data))
	assert.Same(t, &buf[:1][0], &data[0])
}

func TestMessagesBehindTheHandshake(t *testing.T) {
	first := append(frame(0x81, []byte("one")...), frame(0x82, []byte("two")...)...)
	l := dial(t, request(t, rawServerWith(t, first, (*wire).drain)))
	for _, want := range []string{"one", "two"} {
		_, data, err := l.Read(nil)
		require.NoError(t, err)
		assert.Equal(t, want, string(data))
	}
}

func TestFragments(t *testing.T) {
	l := dial(t, request(t, rawServer(t, func(w *wire) {
		w.Write(frame(0x01, 'a', 0xc3))
		w.Write(frame(0x89, 'p'))
		w.Write(frame(0x00))
		w.Write(frame(0x80, 0xa9, 'z'))
		w.drain()
	})))
	typ, data, err := l.Read(nil)
	require.NoError(t, err)
	assert.Equal(t, transport.Text, typ)
	assert.Equal(t, "aéz", string(data))
}

func TestMessageTooBig(t *testing.T) {
	for _, over := range []bool{false, true} {
		code := make(chan uint16, 1)
		r := request(t, rawServer(t, func(w *wire) {
			payload := make([]byte, 1000)
			if over {
				payload = append(payload, 1)
			}
			w.Write(frame(0x82, payload...))
			code <- w.nextClose()
		}))
		r.MaxMessageSize = 1000
		l := dial(t, r)
		_, data, err := l.Read(nil)
		if !over {
			require.NoError(t, err)
			assert.Len(t, data, 1000)
			continue
		}
		require.ErrorIs(t, err, transport.ErrMessageTooBig)
		assert.Equal(t, uint16(1009), receive(t, code))
		_, _, again := l.Read(nil)
		assert.Equal(t, err, again)
	}
}

func TestConnectionEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		sent []byte
	}{
		{"at once", nil},
		{"inside a header", frame(0x82, make([]byte, 300)...)[:3]},
		{"behind a header", frame(0x82, 1, 2, 3)[:2]},
		{"inside a payload", frame(0x82, 1, 2, 3)[:4]},
		{"between fragments", frame(0x02, 1, 2, 3)},
		{"inside a control frame", frame(0x89, 1, 2, 3)[:4]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := dial(t, request(t, rawServer(t, func(w *wire) { w.Write(tt.sent) })))
			_, data, err := l.Read([]byte("dst"))
			require.ErrorIs(t, err, io.EOF)
			assert.NotErrorIs(t, err, net.ErrClosed)
			assert.Equal(t, "dst", string(data))
		})
	}
	t.Run("whole message first", func(t *testing.T) {
		l := dial(t, request(t, rawServer(t, func(w *wire) { w.Write(frame(0x82, 1, 2, 3)) })))
		_, data, err := l.Read(nil)
		require.NoError(t, err)
		assert.Equal(t, []byte{1, 2, 3}, data)
		_, _, err = l.Read(nil)
		require.ErrorIs(t, err, io.EOF)
	})
	t.Run("reset", func(t *testing.T) {
		l := dial(t, request(t, rawServer(t, func(w *wire) { w.Conn.(*net.TCPConn).SetLinger(0) })))
		_, _, err := l.Read(nil)
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestCompressedMessageCutShort(t *testing.T) {
	ln := listen(t, func(c net.Conn) {
		w := answerUpgrade(c, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
		w.Write(frame(0xc2, make([]byte, 50)...)[:12])
	})
	r := request(t, "ws://"+ln.Addr().String())
	r.Compression = true
	_, _, err := dial(t, r).Read(nil)
	require.Error(t, err)
}

func TestWriteTimeout(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	r := request(t, rawServer(t, func(w *wire) { <-hold }))
	r.WriteTimeout = 50 * time.Millisecond
	l := dial(t, r)
	big := transport.Message{Type: transport.Binary, Data: make([]byte, 32<<20)}
	small := transport.Message{Type: transport.Binary, Data: []byte("x")}
	n, err := l.Write([]transport.Message{small, big, small})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Equal(t, 2, n, "the first two may have left, the last has not")
	n, err = l.Write([]transport.Message{small})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Zero(t, n)
	require.Error(t, l.Ping(1))
}

// The deadline of a Write that went well does not end what is sent later.
func TestWriteDeadlineIsOfOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		_, err := l.Write([]transport.Message{{Type: transport.Text, Data: []byte("x")}})
		require.NoError(t, err)
		time.Sleep(2 * patience)
		server.Write(closeFrame(1001, ""))
		_, _, err = l.Read(nil)
		var ce *transport.CloseError
		require.ErrorAs(t, err, &ce)
		assert.Equal(t, uint16(1001), server.nextClose())
		l.Abort()
		server.Close()
	})
}

func TestAbort(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	blocked := rawServer(t, func(w *wire) { <-hold })
	t.Run("under a Read", func(t *testing.T) {
		l := dial(t, request(t, blocked))
		failed := make(chan error)
		go func() {
			_, _, err := l.Read(nil)
			failed <- err
		}()
		l.Abort()
		require.Error(t, receive(t, failed))
	})
	t.Run("under a Write", func(t *testing.T) {
		l := dial(t, request(t, blocked))
		failed := make(chan error)
		started := make(chan struct{})
		go func() {
			close(started)
			_, err := l.Write([]transport.Message{{Type: transport.Binary, Data: make([]byte, 32<<20)}})
			failed <- err
		}()
		<-started
		l.Abort()
		require.ErrorIs(t, receive(t, failed), net.ErrClosed)
	})
	t.Run("afterwards", func(t *testing.T) {
		l := dial(t, request(t, blocked))
		l.Abort()
		l.Abort()
		_, _, err := l.Read(nil)
		require.ErrorIs(t, err, net.ErrClosed)
		n, err := l.Write([]transport.Message{{Type: transport.Text}})
		require.ErrorIs(t, err, net.ErrClosed)
		assert.Zero(t, n)
		require.ErrorIs(t, l.Ping(1), net.ErrClosed)
		require.Error(t, l.Close(testContext(t), 1000, ""))
		l.Abort()
		assert.NotNil(t, l.Info())
	})
	t.Run("inside OnPong", func(t *testing.T) {
		r := request(t, rawServer(t, func(w *wire) {
			w.Write(frame(0x8a, make([]byte, 8)...))
			w.drain()
		}))
		var l transport.Link
		r.OnPong = func(uint64) { l.Abort() }
		l = dial(t, r)
		_, _, err := l.Read(nil)
		require.Error(t, err)
	})
}

func TestBadMessageType(t *testing.T) {
	l := dial(t, request(t, httpServer(t, echo(nil))))
	n, err := l.Write([]transport.Message{{Type: transport.Text}, {}})
	require.Error(t, err)
	assert.Equal(t, 1, n)
}
