package memnet

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns the two ends of a new connection.
func pair(t *testing.T, n *Network) (client, server *Conn) {
	t.Helper()
	l, err := n.Listen("10.0.0.1:0")
	require.NoError(t, err)
	c, err := n.DialContext(context.Background(), "tcp", l.Addr().String())
	require.NoError(t, err)
	s, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Cleanup(func() { _, _ = c.Close(), s.Close() })
	return c.(*Conn), s.(*Conn)
}

func write(t *testing.T, c net.Conn, s string) {
	t.Helper()
	n, err := c.Write([]byte(s))
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

func expect(t *testing.T, c net.Conn, s string) {
	t.Helper()
	b := make([]byte, len(s))
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, s, string(b))
}

func read(c net.Conn) error {
	_, err := c.Read(make([]byte, 1))
	return err
}

func TestConnIsANetConn(t *testing.T) {
	for name, delay := range map[string]time.Duration{"no latency": 0, "latency": time.Microsecond} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				n := New()
				n.SetLatency(delay)
				c, s := pair(t, n)
				return c, s, func() { _, _ = c.Close(), s.Close() }, nil
			})
		})
	}
}

func TestConnAddresses(t *testing.T) {
	c, s := pair(t, New())
	assert.Equal(t, "192.0.2.1", c.LocalAddr().(*net.TCPAddr).IP.String())
	assert.Equal(t, "10.0.0.1", c.RemoteAddr().(*net.TCPAddr).IP.String())
	assert.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
	assert.Equal(t, c.RemoteAddr().String(), s.LocalAddr().String())
}

func TestWriteBlocksWhenTheBufferIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := pair(t, New())
		write(t, c, string(make([]byte, BufferSize)))
		done := make(chan error, 1)
		go func() {
			_, err := c.Write([]byte("more"))
			done <- err
		}()
		synctest.Wait()
		assert.Empty(t, done)
		expect(t, s, "\x00\x00\x00\x00")
		synctest.Wait()
		require.Len(t, done, 1)
		assert.NoError(t, <-done)
	})
}

func TestWritesDoNotMix(t *testing.T) {
	c, s := pair(t, New())
	const size = 3*BufferSize + 1
	var wg sync.WaitGroup
	for _, b := range []byte("ab") {
		wg.Go(func() {
			n, err := c.Write(bytes.Repeat([]byte{b}, size))
			assert.NoError(t, err)
			assert.Equal(t, size, n)
		})
	}
	got := make([]byte, 2*size)
	_, err := io.ReadFull(s, got)
	require.NoError(t, err)
	wg.Wait()
	for _, half := range [][]byte{got[:size], got[size:]} {
		assert.Equal(t, bytes.Repeat(half[:1], size), half)
	}
}

func TestDeadlinesAreInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t, New())
		start := time.Now()
		require.NoError(t, c.SetReadDeadline(start.Add(time.Hour)))
		err := read(c)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		assert.True(t, ne.Timeout())
		assert.Equal(t, time.Hour, time.Since(start))

		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Minute)))
		n, err := c.Write(make([]byte, BufferSize+1))
		assert.Equal(t, BufferSize, n)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, time.Hour+time.Minute, time.Since(start))
	})
}

func TestDeadlineMovedWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := pair(t, New())
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
		done := make(chan error, 1)
		go func() { done <- read(c) }()
		synctest.Wait()
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, done)
		write(t, s, "x")
		assert.NoError(t, <-done)
	})
}

func TestCloseLetsThePeerReadTheRest(t *testing.T) {
	c, s := pair(t, New())
	write(t, c, "rest")
	require.NoError(t, c.Close())
	expect(t, s, "rest")
	assert.Equal(t, io.EOF, read(s))
	assert.ErrorIs(t, c.Close(), net.ErrClosed)
	assert.ErrorIs(t, read(c), net.ErrClosed)
	assert.ErrorIs(t, c.SetDeadline(time.Time{}), net.ErrClosed)
}

func TestWriteAfterThePeerClosed(t *testing.T) {
	c, s := pair(t, New())
	require.NoError(t, s.Close())
	write(t, c, "the first is taken")
	_, err := c.Write([]byte("the second is not"))
	assert.ErrorIs(t, err, syscall.ECONNRESET)
	var sys *os.SyscallError
	assert.ErrorAs(t, err, &sys)
}

func TestCloseWithUnreadDataResets(t *testing.T) {
	c, s := pair(t, New())
	write(t, s, "answer")
	write(t, c, "unread")
	require.NoError(t, s.Close())
	expect(t, c, "answer")
	assert.ErrorIs(t, read(c), syscall.ECONNRESET)
}

func TestCloseWrite(t *testing.T) {
	c, s := pair(t, New())
	require.NoError(t, c.CloseWrite())
	assert.Equal(t, io.EOF, read(s))
	write(t, s, "still read")
	expect(t, c, "still read")
	_, err := c.Write([]byte("x"))
	assert.ErrorIs(t, err, syscall.EPIPE)
}

func TestResetReachesBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := pair(t, New())
		done := make(chan error, 2)
		go func() { done <- read(c) }()
		go func() {
			_, err := c.Write(make([]byte, BufferSize+1))
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, s.Reset())
		assert.ErrorIs(t, <-done, syscall.ECONNRESET)
		assert.ErrorIs(t, <-done, syscall.ECONNRESET)
		assert.ErrorIs(t, read(s), net.ErrClosed)
	})
}

func TestCloseUnblocksTheOwnCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t, New())
		done := make(chan error, 3)
		go func() { done <- read(c) }()
		for range 2 {
			go func() {
				_, err := c.Write(make([]byte, BufferSize+1))
				done <- err
			}()
		}
		synctest.Wait()
		require.NoError(t, c.Close())
		for range 3 {
			assert.ErrorIs(t, <-done, net.ErrClosed)
		}
	})
}

func TestFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := pair(t, New())
		write(t, s, "before")
		c.Freeze(true)
		write(t, c, "during")
		require.NoError(t, c.CloseWrite())
		expect(t, c, "before")
		require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Hour)))
		assert.ErrorIs(t, read(s), os.ErrDeadlineExceeded)
		c.Freeze(false)
		require.NoError(t, s.SetReadDeadline(time.Time{}))
		expect(t, s, "during")
		assert.Equal(t, io.EOF, read(s))
	})
}

func TestFrozenEndDoesNotReachThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := pair(t, New())
		s.Freeze(true)
		require.NoError(t, s.Reset())
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		assert.ErrorIs(t, read(c), os.ErrDeadlineExceeded)
		write(t, c, "into the void")
		c.Freeze(false)
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		assert.ErrorIs(t, read(c), syscall.ECONNRESET)
	})
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(50 * time.Millisecond)
		start := time.Now()
		c, s := pair(t, n)
		assert.Equal(t, 100*time.Millisecond, time.Since(start), "a dial is a round trip")

		start = time.Now()
		write(t, c, "a")
		time.Sleep(20 * time.Millisecond)
		write(t, c, "b")
		n.SetLatency(0)
		write(t, c, "c") // does not overtake
		expect(t, s, "a")
		assert.Equal(t, 50*time.Millisecond, time.Since(start))
		expect(t, s, "bc")
		assert.Equal(t, 70*time.Millisecond, time.Since(start))
	})
}

func TestLatencyOfEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Second)
		c, s := pair(t, n)
		start := time.Now()
		require.NoError(t, s.Close())
		assert.Equal(t, io.EOF, read(c))
		assert.Equal(t, time.Second, time.Since(start))

		write(t, c, "answered with RST, a round trip later")
		time.Sleep(2*time.Second - 1)
		write(t, c, "not yet")
		time.Sleep(1)
		synctest.Wait()
		_, err := c.Write([]byte("x"))
		assert.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestEveryByteArrivesOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Millisecond)
		c, s := pair(t, n)
		const total = 1 << 20
		go func() {
			b := make([]byte, 0, 1500)
			for i := 0; i < total; {
				b = b[:0]
				for range min(1+i%1500, total-i) {
					b = append(b, byte(i*31>>3))
					i++
				}
				if _, err := c.Write(b); err != nil {
					t.Error(err)
				}
			}
			_ = c.Close()
		}()
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Len(t, got, total)
		for i, b := range got {
			if b != byte(i*31>>3) {
				t.Fatalf("byte %d is wrong", i)
			}
		}
	})
}

func TestErrorsAreOpErrors(t *testing.T) {
	c, _ := pair(t, New())
	require.NoError(t, c.Close())
	var op *net.OpError
	require.ErrorAs(t, read(c), &op)
	assert.Equal(t, "read", op.Op)
	assert.Equal(t, "tcp", op.Net)
	_, err := c.Write(nil)
	require.ErrorAs(t, err, &op)
	assert.Equal(t, "write", op.Op)
}

func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetBandwidth(1000)
		n.SetLatency(time.Second)
		start := time.Now()
		c, s := pair(t, n)
		start = start.Add(2 * time.Second) // the dial's round trip
		after := func(d time.Duration) {
			t.Helper()
			require.Equal(t, d, time.Since(start))
		}
		write(t, c, string(make([]byte, 4000)))
		after(0)
		_, err := io.ReadFull(s, make([]byte, 1460))
		require.NoError(t, err)
		after(2460 * time.Millisecond) // not before its last byte, and not with the rest
		_, err = io.ReadFull(s, make([]byte, 4000-1460))
		require.NoError(t, err)
		after(5 * time.Second)

		write(t, c, string(make([]byte, 1000)))
		require.NoError(t, c.Close())
		_, err = io.ReadFull(s, make([]byte, 1000))
		require.NoError(t, err)
		after(7 * time.Second)
		assert.ErrorIs(t, read(s), io.EOF)
		after(7 * time.Second)
	})
}

func TestPaceOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		c, s := pair(t, n)
		other, otherEnd := pair(t, n)
		pace := func(latency time.Duration, bytesPerSecond int) {
			c.SetReadPace(latency, bytesPerSecond)
			c.SetWritePace(latency, bytesPerSecond)
		}
		pace(time.Second, 100)
		took := func(from, to net.Conn) time.Duration {
			start := time.Now()
			write(t, from, string(make([]byte, 100)))
			_, err := io.ReadFull(to, make([]byte, 100))
			require.NoError(t, err)
			return time.Since(start)
		}
		assert.Equal(t, 2*time.Second, took(c, s))
		assert.Equal(t, 2*time.Second, took(s, c))
		assert.Zero(t, took(other, otherEnd))
		n.SetLatency(time.Second) // adds up
		n.SetBandwidth(50)        // is the smaller one
		assert.Equal(t, 4*time.Second, took(c, s))
		assert.Equal(t, 3*time.Second, took(other, otherEnd))
		n.SetBandwidth(1000)
		assert.Equal(t, 3*time.Second, took(c, s))
		pace(0, 0)
		assert.Equal(t, 1100*time.Millisecond, took(s, c))
	})
}

// A slow connection takes what is written little by little, and not all at once.
func TestBandwidthHoldsTheWriterBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetBandwidth(1460)
		c, s := pair(t, n)
		done := make(chan struct{})
		go func() { defer close(done); _, _ = io.Copy(io.Discard, s) }()
		start := time.Now()
		write(t, c, string(make([]byte, BufferSize)))
		assert.Zero(t, time.Since(start))
		write(t, c, string(make([]byte, 1460)))
		assert.Equal(t, time.Second, time.Since(start))
		require.NoError(t, c.Close())
		<-done
	})
}

func TestFailDials(t *testing.T) {
	n := New()
	l, err := n.Listen("api.example:80")
	require.NoError(t, err)
	defer l.Close()
	dial := func() error {
		c, err := n.DialContext(context.Background(), "tcp", "api.example:80")
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	n.FailDials("api.example:80", syscall.EHOSTUNREACH)
	assert.ErrorIs(t, dial(), syscall.EHOSTUNREACH)
	n.FailDials("api.example:80", nil)
	assert.NoError(t, dial())
	assert.Panics(t, func() { n.FailDials("nowhere", nil) })
}

func TestListenAgain(t *testing.T) {
	n := New()
	l, err := n.Listen("api.example:0")
	require.NoError(t, err)
	_, err = l.(*Listener).Again()
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.NoError(t, l.Close())
	again, err := l.(*Listener).Again()
	require.NoError(t, err)
	assert.Equal(t, l.Addr(), again.Addr())
	require.NoError(t, again.Close())
}
