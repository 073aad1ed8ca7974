package holdfast_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// flood is a WebSocket server on loopback that sends binary messages of one size
// for as long as they are taken.
func flood(t testing.TB, size int) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	frame := []byte{0x82, byte(size)} // RFC 6455, section 5.2
	if size > 125 {
		frame = []byte{0x82, 126, byte(size >> 8), byte(size)}
	}
	frame = append(frame, strings.Repeat("x", size)...)
	many := []byte(strings.Repeat(string(frame), max(1, 64<<10/len(frame))))
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		go func() { _, _ = io.Copy(io.Discard, c) }()
		for {
			if _, err := c.Write(many); err != nil {
				return
			}
		}
	}()
	return "ws://" + l.Addr().String()
}

func TestReceiveAllocatesItsMessageAlone(t *testing.T) {
	for _, size := range []int{128, 1 << 10, 16 << 10} {
		c, err := holdfast.Dial(t.Context(), flood(t, size), nil)
		require.NoError(t, err)
		defer func() { _ = c.CloseNow() }()
		dst := make([]byte, 0, size)
		cancellable, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, ctx := range []context.Context{context.Background(), cancellable} {
			receive := func() {
				m, err := c.Receive(ctx)
				if err != nil || len(m.Data) != size || cap(m.Data) != size {
					t.Errorf("%d bytes in %d: %v", len(m.Data), cap(m.Data), err)
				}
			}
			receiveAppend := func() {
				m, err := c.ReceiveAppend(ctx, dst)
				if err != nil || len(m.Data) != size || &m.Data[0] != &dst[:1][0] {
					t.Errorf("%d bytes: %v", len(m.Data), err)
				}
			}
			for range 1000 {
				receiveAppend()
			}
			owned, borrowed := testing.AllocsPerRun(5000, receive), testing.AllocsPerRun(5000, receiveAppend)
			if !raceEnabled {
				assert.LessOrEqual(t, owned, 1.0, "of %d bytes", size)
				assert.Zero(t, borrowed, "of %d bytes", size)
			}
		}
	}
}

func TestReceiveAppendReturnsDstWithAnError(t *testing.T) {
	c, err := holdfast.Dial(t.Context(), flood(t, 10), nil)
	require.NoError(t, err)
	defer func() { _ = c.CloseNow() }()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	m, err := c.ReceiveAppend(ended, []byte("abc"))
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, holdfast.Message{Data: []byte("abc")}, m)
	m, err = c.ReceiveAppend(t.Context(), []byte("abc"))
	require.NoError(t, err)
	assert.Equal(t, "abcxxxxxxxxxx", string(m.Data))
}
