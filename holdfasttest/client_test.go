package holdfasttest

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const clientKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455, section 1.3

// client is a WebSocket client of the plainest kind.
type client struct {
	t *testing.T
	net.Conn
	br *bufio.Reader
}

// stage is a server and a way to reach it.
type stage struct {
	*Server
	dial func() net.Conn
}

// inMemory makes a stage over memnet. It is closed with the test.
func inMemory(t *testing.T) stage {
	n := memnet.New()
	l, err := n.Listen("server.example:80")
	require.NoError(t, err)
	s := NewServer(l)
	t.Cleanup(s.Close)
	return stage{s, func() net.Conn {
		c, err := n.DialContext(context.Background(), "tcp", "server.example:80")
		require.NoError(t, err)
		return c
	}}
}

// stages runs f over every kind of listener.
func stages(t *testing.T, f func(t *testing.T, s stage)) {
	tcp := func(t *testing.T) net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return l
	}
	t.Run("memory", func(t *testing.T) { f(t, inMemory(t)) })
	t.Run("tcp", func(t *testing.T) {
		l := tcp(t)
		s := NewServer(l)
		t.Cleanup(s.Close)
		f(t, stage{s, func() net.Conn {
			c, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			return c
		}})
	})
	t.Run("tls", func(t *testing.T) {
		l := tcp(t)
		s := NewTLSServer(l, nil)
		t.Cleanup(s.Close)
		f(t, stage{s, func() net.Conn {
			c, err := tls.Dial("tcp", l.Addr().String(), s.ClientTLSConfig())
			require.NoError(t, err)
			return c
		}})
	})
}

// ask sends a request and returns the answer.
func (s stage) ask(t *testing.T, head string) (*client, *http.Response, error) {
	t.Helper()
	nc := s.dial()
	t.Cleanup(func() { _ = nc.Close() })
	c := &client{t: t, Conn: nc, br: bufio.NewReader(nc)}
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err := io.WriteString(c, head)
	require.NoError(t, err)
	resp, err := http.ReadResponse(c.br, nil)
	return c, resp, err
}

func handshake(extra string) string {
	return "GET /path?q=1 HTTP/1.1\r\nHost: server.example\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + clientKey + "\r\n" + extra + "\r\n"
}

// connect makes a handshake that must succeed.
func (s stage) connect(t *testing.T) *client {
	t.Helper()
	c, resp, err := s.ask(t, handshake(""))
	require.NoError(t, err)
	require.Equal(t, 101, resp.StatusCode)
	return c
}

func (c *client) send(f Frame) {
	c.t.Helper()
	f.Masked = true
	c.raw(f.Append(nil))
}

func (c *client) text(s string) {
	c.t.Helper()
	c.send(Frame{Fin: true, Opcode: OpText, Payload: []byte(s)})
}

func (c *client) raw(b []byte) {
	c.t.Helper()
	_, err := c.Write(b)
	require.NoError(c.t, err)
}

// expect reads a frame and compares it.
func (c *client) expect(fin bool, op byte, payload string) {
	c.t.Helper()
	f, err := readFrame(c.br, 1<<20)
	require.NoError(c.t, err)
	require.False(c.t, f.Masked)
	require.Equal(c.t, fmt.Sprintf("%v %x %q", fin, op, payload), fmt.Sprintf("%v %x %q", f.Fin, f.Opcode, f.Payload))
}

// expectEnd reads until the connection ends and returns how.
func (c *client) expectEnd() error {
	c.t.Helper()
	_, err := readFrame(c.br, 1<<20)
	require.Error(c.t, err)
	return err
}

func closing(code uint16, reason string) Frame {
	return Frame{Fin: true, Opcode: OpClose, Payload: []byte(closePayload(code, reason))}
}

func closePayload(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}
