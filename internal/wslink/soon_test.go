//go:build unix

package wslink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// soon is what a link over TCP has besides.
type soon interface {
	transport.Link
	WritesSoon() bool
	WriteSoon(msgs []transport.Message) (n int, behind bool, err error)
}

// narrow is a client's link over a connection that takes little at once. The
// server begins to read when it is let; what it gets comes by frames.
func narrow(t *testing.T) (l soon, read func(), frames <-chan frameIn, server *wire) {
	t.Helper()
	began, got, there := make(chan struct{}), make(chan frameIn, 1000), make(chan *wire, 1)
	r := request(t, rawServer(t, func(w *wire) {
		assert.NoError(t, w.Conn.(*net.TCPConn).SetReadBuffer(4<<10))
		there <- w
		<-began
		for {
			f, err := w.next()
			if err != nil {
				return
			}
			got <- f
		}
	}))
	r.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, addr)
		if err == nil {
			err = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
		}
		return conn, err
	}
	link, ok := dial(t, r).(soon)
	require.True(t, ok && link.WritesSoon())
	done := false
	read = func() {
		if !done {
			done = true
			close(began)
		}
	}
	t.Cleanup(read)
	return link, read, got, <-there
}

func bin(p []byte) []transport.Message {
	return []transport.Message{{Type: transport.Binary, Data: p}}
}

// fill writes until the network takes no more, and returns what was written.
func fill(t *testing.T, l soon, size int) (sent [][]byte) {
	t.Helper()
	for {
		p := randomBytes(size)
		n, behind, err := l.WriteSoon(bin(p))
		require.NoError(t, err)
		require.Equal(t, 1, n, "what is kept counts as written")
		sent = append(sent, p)
		if behind {
			return sent
		}
		require.Less(t, len(sent), 10_000)
	}
}

func TestWriteSoonKeepsWhatTheNetworkDoesNotTake(t *testing.T) {
	for _, size := range []int{1, 100, 5_000, 60_000} {
		l, read, frames, _ := narrow(t)
		sent := fill(t, l, size)
		read()
		n, err := l.Write(nil)
		require.NoError(t, err)
		assert.Zero(t, n)
		last := randomBytes(10)
		_, err = l.Write(bin(last))
		require.NoError(t, err)
		for _, want := range append(sent, last) {
			f := <-frames
			require.True(t, bytes.Equal(want, f.payload), "messages of %d bytes arrive in order and whole", size)
		}
	}
}

func TestNobodyWritesBetweenTheTwoHalves(t *testing.T) {
	l, read, frames, server := narrow(t)
	sent := fill(t, l, 30_000)
	// The server's ping is answered after the rest, and Read does not wait for that.
	_, err := server.Write(append(frame(0x89, []byte("mark")...), frame(0x81, []byte("there")...)...))
	require.NoError(t, err)
	_, p, err := l.Read(nil)
	require.NoError(t, err)
	assert.Equal(t, "there", string(p))
	closed := make(chan error, 1)
	go func() { closed <- l.Close(t.Context(), 1000, "") }() // waits for its turn
	readOn(l)
	read()
	_, err = l.Write(nil)
	require.NoError(t, err)
	for _, want := range sent {
		f := <-frames
		require.Equal(t, byte(0x82), f.head)
		require.True(t, bytes.Equal(want, f.payload))
	}
	f := <-frames
	if f.head == 0x8a { // the pong, unless Close was first
		assert.Equal(t, "mark", string(f.payload))
		f = <-frames
	}
	assert.Equal(t, byte(0x88), f.head)
	server.Close()
	<-closed
}

func TestWriteSoonLeavesAloneWhatIsTooMuch(t *testing.T) {
	l, read, frames, _ := narrow(t)
	read()
	large := randomBytes(64<<10 + 1)
	n, behind, err := l.WriteSoon(bin(large))
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.True(t, behind)
	n, err = l.Write(bin(large))
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.True(t, bytes.Equal(large, (<-frames).payload))
}

func TestWriteSoonTellsOfTheEnd(t *testing.T) {
	l, _, _, server := narrow(t)
	require.NoError(t, server.Conn.(*net.TCPConn).SetLinger(0))
	server.Close()
	_, _, err := l.Read(nil)
	require.Error(t, err)
	for err = nil; err == nil; {
		_, _, err = l.WriteSoon(bin(randomBytes(10)))
	}
	assert.True(t, errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET), "%v", err)
	_, again := l.Write(bin(nil))
	assert.Equal(t, err, again)
}

func TestAbortWhileARestIsKept(t *testing.T) {
	l, _, _, server := narrow(t)
	fill(t, l, 60_000)
	l.Abort()
	_, err := l.Write(nil)
	require.Error(t, err)
	_, err = io.Copy(io.Discard, server.br)
	assert.NoError(t, err)
}
