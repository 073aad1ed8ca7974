//go:build !js

package wslink_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

// counted is a connection that counts writes, and fails after some bytes.
type counted struct {
	net.Conn
	mu     sync.Mutex
	writes []int
	left   int // bytes that go through; negative for all
}

var errNoMore = errors.New("the network takes no more")

func (c *counted) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p)
	if c.left >= 0 {
		n = min(n, c.left)
		c.left -= n
	}
	m, err := c.Conn.Write(p[:n])
	c.writes = append(c.writes, m)
	if err == nil && n < len(p) {
		err = errNoMore
	}
	return m, err
}

// countedLink is a client's link over one.
func countedLink(t *testing.T, serve func(*wire)) (transport.Link, *counted) {
	c := &counted{left: -1}
	r := request(t, rawServer(t, serve))
	r.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, addr)
		c.Conn = conn
		return c, err
	}
	l := dial(t, r)
	c.writes = nil
	return l, c
}

func TestAGroupLeavesTogether(t *testing.T) {
	got := make(chan frameIn, 100)
	l, c := countedLink(t, func(w *wire) {
		for {
			f, err := w.next()
			if err != nil {
				return
			}
			got <- f
		}
	})
	var msgs []transport.Message
	for i := range 100 {
		msgs = append(msgs, transport.Message{Type: transport.Binary, Data: randomBytes(i)})
	}
	n, err := l.Write(msgs)
	require.NoError(t, err)
	assert.Equal(t, 100, n)
	assert.Len(t, c.writes, 1)
	for _, m := range msgs {
		assert.Equal(t, frameIn{0x82, m.Data}, receive(t, got))
	}
}

// n of Write counts the messages of which a byte has left, and no other.
func TestWriteCountsWhatHasLeft(t *testing.T) {
	size := func(n int) int { // of a frame
		switch {
		case n > 0xffff:
			return n + 14
		case n > 125:
			return n + 8
		}
		return n + 6
	}
	sizes := []int{0, 10, 125, 126, 20_000, 3, 70_000, 200_000, 5}
	var msgs []transport.Message
	starts := []int{0}
	for _, n := range sizes {
		msgs = append(msgs, transport.Message{Type: transport.Binary, Data: make([]byte, n)})
		starts = append(starts, starts[len(starts)-1]+size(n))
	}
	for i, start := range starts[:len(sizes)] {
		for _, limit := range []int{start - 1, start, start + 1} {
			if limit < 0 {
				continue
			}
			l, c := countedLink(t, (*wire).drain)
			c.left = limit
			n, err := l.Write(msgs)
			require.ErrorIs(t, err, errNoMore)
			if limit > start {
				assert.Equal(t, i+1, n, "after %d bytes", limit)
			} else {
				assert.Equal(t, i, n, "after %d bytes", limit)
			}
			n, err = l.Write(msgs)
			require.ErrorIs(t, err, errNoMore)
			assert.Zero(t, n)
			l.Abort()
		}
	}
}

// The pong for a ping that came while a group is written goes between two of
// its messages.
func TestPongInsideAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		written := make(chan error, 1)
		msgs := make([]transport.Message, 3)
		for i := range msgs {
			msgs[i] = transport.Message{Type: transport.Binary, Data: make([]byte, 2<<20)}
		}
		go func() {
			_, err := l.Write(msgs)
			written <- err
		}()
		synctest.Wait()
		server.Write(join(frame(0x89, 'a'), frame(0x82, 'x')))
		_, _, err := l.Read(nil)
		require.NoError(t, err)
		for _, want := range []int{2 << 20, 1, 2 << 20, 2 << 20} {
			f, err := server.next()
			require.NoError(t, err)
			assert.Equal(t, want, len(f.payload))
		}
		require.NoError(t, <-written)
		l.Abort()
		server.Close()
	})
}

// A group under way gives way to the answer to the peer's close frame.
func TestCloseInsideAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		type result struct {
			n   int
			err error
		}
		written := make(chan result, 1)
		msgs := make([]transport.Message, 10)
		for i := range msgs {
			msgs[i] = transport.Message{Type: transport.Binary, Data: make([]byte, 2<<20)}
		}
		go func() {
			n, err := l.Write(msgs)
			written <- result{n, err}
		}()
		synctest.Wait()
		server.Write(closeFrame(1012, ""))
		read := make(chan error, 1)
		go func() {
			_, _, err := l.Read(nil)
			read <- err
		}()
		synctest.Wait()
		f, err := server.next()
		require.NoError(t, err)
		assert.Equal(t, 2<<20, len(f.payload))
		f, err = server.next()
		require.NoError(t, err)
		assert.Equal(t, frameIn{0x88, []byte{3, 244}}, f)
		assert.Equal(t, &transport.CloseError{Code: 1012}, <-read)
		w := <-written
		require.ErrorIs(t, w.err, net.ErrClosed)
		assert.Equal(t, 1, w.n)
		require.Error(t, l.Close(t.Context(), 1000, ""), "the peer closed by itself")
		server.Close()
	})
}

// A writer that is stuck does not keep Read from its error.
func TestCloseBehindAStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		written := make(chan error, 1)
		go func() {
			_, err := l.Write([]transport.Message{{Type: transport.Binary, Data: make([]byte, 32<<20)}})
			written <- err
		}()
		synctest.Wait()
		server.Write(closeFrame(1001, ""))
		start := time.Now()
		_, _, err := l.Read(nil)
		assert.Equal(t, &transport.CloseError{Code: 1001}, err)
		assert.Equal(t, 5*time.Second, time.Since(start))
		require.Error(t, <-written)
		l.Abort()
		server.Close()
	})
}

// Each ping that comes in part has its own time.
func TestControlFramesInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		read := make(chan error, 1)
		go func() {
			_, _, err := l.Read(nil)
			read <- err
		}()
		ping := frame(0x89, []byte("payload")...)
		server.Write(ping[:4])
		for range 5 {
			time.Sleep(3 * time.Second)
			server.Write(join(ping[4:], ping[:4]))
			f, err := server.next()
			require.NoError(t, err)
			assert.Equal(t, frameIn{0x8a, []byte("payload")}, f)
		}
		start := time.Now()
		for i := range 2 { // it goes on coming, too slowly
			time.Sleep(2 * time.Second)
			server.Write(ping[4+i : 5+i])
		}
		require.ErrorIs(t, <-read, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(start))
		l.Abort()
		server.Close()
	})
}

// Large messages in pieces, to buffers of any capacity.
func TestLargeMessages(t *testing.T) {
	var want [][]byte
	for _, n := range []int{1 << 10, 2034, 2035, 2036, 31 << 10, 33 << 10, 64 << 10, 100_000, 1 << 20} {
		want = append(want, randomBytes(n))
	}
	stream := func(build func(head byte, payload ...byte) []byte) (b []byte) {
		for _, p := range want {
			b = append(b, build(0x82, p...)...)
			b = append(b, build(0x02, p[:len(p)/3]...)...)
			b = append(b, build(0x89, 'p')...)
			b = append(b, build(0x80, p[len(p)/3:]...)...)
		}
		return b
	}
	check := func(l transport.Link) {
		var buf []byte
		for _, p := range want {
			for range 2 {
				_, data, err := l.Read(buf[:0])
				require.NoError(t, err)
				require.True(t, bytes.Equal(p, data))
				buf = data
			}
		}
	}
	check(dial(t, request(t, rawServer(t, func(w *wire) {
		w.Write(stream(frame))
		w.drain()
	}))))
	links := make(chan transport.Link)
	hold := make(chan struct{})
	defer close(hold)
	url := httpServer(t, accepting(t, &wslink.AcceptOptions{}, func(l transport.Link) {
		links <- l
		<-hold
	}))
	c := connect(t, url, "", nil)
	go func() { c.Write(stream(ours)) }()
	go io.Copy(io.Discard, c.br)
	check(receive(t, links))
}

// The peer's own close frame is no answer to ours, which came too late to be sent.
func TestCloseThatCrossesTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, server := memLink(t)
		written := make(chan error, 1)
		go func() {
			_, err := l.Write([]transport.Message{{Type: transport.Binary, Data: make([]byte, 2<<20)}})
			written <- err
		}()
		synctest.Wait()
		server.Write(closeFrame(1000, ""))
		go l.Read(nil)
		synctest.Wait() // it waits to answer
		closed := make(chan error, 1)
		go func() { closed <- l.Close(t.Context(), 1000, "") }()
		synctest.Wait()
		_, err := server.next()
		require.NoError(t, err)
		require.NoError(t, <-written)
		var ce *transport.CloseError
		require.ErrorAs(t, <-closed, &ce)
		server.Close()
	})
}

// A length that is not in its shortest form is refused on coder's path too.
func TestLengthNotShortestCompressed(t *testing.T) {
	for _, b := range []string{"\x82\x7e\x00\x7d", "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"} {
		ln := listen(t, func(c net.Conn) {
			w := answerUpgrade(c, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
			w.Write(append([]byte(b), make([]byte, 1<<16)...))
			w.drain()
		})
		r := request(t, "ws://"+ln.Addr().String())
		r.Compression = true
		_, _, err := dial(t, r).Read(nil)
		var pe *transport.ProtocolError
		require.ErrorAs(t, err, &pe)
		assert.Equal(t, uint16(1002), pe.Code)
	}
}
