package memnet

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDialRefused(t *testing.T) {
	n := New()
	_, err := n.DialContext(t.Context(), "tcp", "10.0.0.1:80")
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	assert.Equal(t, "dial", op.Op)
	assert.Equal(t, "10.0.0.1:80", op.Addr.String())
	var syscallError *os.SyscallError
	require.ErrorAs(t, op.Err, &syscallError)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.Equal(t, 1, n.Dials())
}

func TestDialBadAddress(t *testing.T) {
	n := New()
	for _, addr := range []string{"", "host", "host:http", "host:70000"} {
		_, err := n.DialContext(t.Context(), "tcp", addr)
		assert.Error(t, err, addr)
		_, err = n.Listen(addr)
		assert.Error(t, err, addr)
	}
	_, err := n.DialContext(t.Context(), "udp", "host:1")
	assert.ErrorAs(t, err, new(net.UnknownNetworkError))
}

func TestListenNames(t *testing.T) {
	n := New()
	l, err := n.Listen("api.example:443")
	require.NoError(t, err)
	defer l.Close()
	require.IsType(t, &net.TCPAddr{}, l.Addr())

	_, err = n.Listen(l.Addr().String())
	assert.ErrorIs(t, err, syscall.EADDRINUSE)
	other, err := n.Listen("www.example:443")
	require.NoError(t, err)
	defer other.Close()
	assert.NotEqual(t, l.Addr().String(), other.Addr().String())

	for _, addr := range []string{"api.example:443", l.Addr().String()} {
		c, err := n.DialContext(t.Context(), "tcp4", addr)
		require.NoError(t, err)
		s, err := l.Accept()
		require.NoError(t, err)
		assert.NoError(t, c.Close())
		assert.NoError(t, s.Close())
	}
}

func TestLocalNamesAndIPv6(t *testing.T) {
	n := New()
	for addr, want := range map[string][2]string{
		":80":             {"127.0.0.1:80", "127.0.0.1"},
		"localhost:81":    {"127.0.0.1:81", "127.0.0.1"},
		"0.0.0.0:82":      {"127.0.0.1:82", "127.0.0.1"},
		"[::]:83":         {"[::1]:83", "::1"},
		"[2001:db8::2]:1": {"[2001:db8::2]:1", "2001:db8::1"},
	} {
		l, err := n.Listen(addr)
		require.NoError(t, err)
		assert.Equal(t, want[0], l.Addr().String())
		c, err := n.DialContext(t.Context(), "tcp", addr)
		require.NoError(t, err)
		assert.Equal(t, want[1], c.LocalAddr().(*net.TCPAddr).IP.String())
		_, _ = c.Close(), l.Close()
	}
}

func TestListenPicksAPort(t *testing.T) {
	n := New()
	seen := map[string]bool{}
	for range 100 {
		l, err := n.Listen("127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		seen[l.Addr().String()] = true
	}
	assert.Len(t, seen, 100)
}

func TestListenerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, err := n.Listen("10.0.0.1:80")
		require.NoError(t, err)
		dial := func() net.Conn {
			c, err := n.DialContext(t.Context(), "tcp", "10.0.0.1:80")
			require.NoError(t, err)
			return c
		}
		c := dial()
		s, err := l.Accept()
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, l.Close())
		assert.ErrorIs(t, <-done, net.ErrClosed)
		assert.ErrorIs(t, l.Close(), net.ErrClosed)
		_, err = n.DialContext(t.Context(), "tcp", "10.0.0.1:80")
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)

		write(t, c, "accepted ones live on")
		expect(t, s, "accepted ones live on")
		_, _ = c.Close(), s.Close()

		again, err := n.Listen("10.0.0.1:80")
		require.NoError(t, err)
		_ = again.Close()
	})
}

func TestListenerCloseResetsTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, err := n.Listen("10.0.0.1:80")
		require.NoError(t, err)
		var conns []net.Conn
		for range backlog {
			c, err := n.DialContext(t.Context(), "tcp", "10.0.0.1:80")
			require.NoError(t, err)
			conns = append(conns, c)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = n.DialContext(ctx, "tcp", "10.0.0.1:80")
		assert.ErrorIs(t, err, context.DeadlineExceeded, "a full backlog answers nobody")
		require.NoError(t, l.Close())
		for _, c := range conns {
			assert.ErrorIs(t, read(c), syscall.ECONNRESET)
			_ = c.Close()
		}
		assert.Zero(t, n.Conns())
	})
}

func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		c, s := pair(t, n)
		n.SetDown(syscall.ENETUNREACH)
		_, err := n.DialContext(t.Context(), "tcp", "10.0.0.1:80")
		assert.ErrorIs(t, err, syscall.ENETUNREACH)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		assert.Equal(t, "dial", op.Op)

		write(t, c, "x")
		c.Freeze(true)
		c.Freeze(false) // does not undo SetDown
		require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Minute)))
		assert.ErrorIs(t, read(s), os.ErrDeadlineExceeded)
		require.NoError(t, s.SetReadDeadline(time.Time{}))
		n.SetDown(nil)
		expect(t, s, "x")
	})
}

func TestDownDuringADial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Second)
		l, err := n.Listen("10.0.0.1:80")
		require.NoError(t, err)
		defer l.Close()
		time.AfterFunc(time.Second, func() { n.SetDown(syscall.ENETDOWN) })
		_, err = n.DialContext(t.Context(), "tcp", "10.0.0.1:80")
		assert.ErrorIs(t, err, syscall.ENETDOWN)
	})
}

func TestBlackhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l, err := n.Listen("api.example:80")
		require.NoError(t, err)
		defer l.Close()
		n.Blackhole("api.example:80", true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		_, err = n.DialContext(ctx, "tcp", "api.example:80")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Hour, time.Since(start))
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		assert.True(t, op.Timeout())

		n.Blackhole("api.example:80", false)
		c, err := n.DialContext(t.Context(), "tcp", "api.example:80")
		require.NoError(t, err)
		_ = c.Close()
	})
}

func TestDialCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		_, err := n.DialContext(ctx, "tcp", "10.0.0.1:80")
		assert.ErrorIs(t, err, context.Canceled)
	})
}

func TestNetworkFreezeAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		c, s := pair(t, n)
		n.Freeze(true)
		later, laterPeer := pair(t, n)
		write(t, c, "x")
		write(t, later, "y")
		expect(t, laterPeer, "y")
		require.NoError(t, s.SetReadDeadline(time.Now().Add(1)))
		assert.ErrorIs(t, read(s), os.ErrDeadlineExceeded)
		require.NoError(t, s.SetReadDeadline(time.Time{}))
		n.Freeze(false)

		n.Reset()
		expect(t, s, "x")
		for _, c := range []*Conn{c, s, later, laterPeer} {
			assert.ErrorIs(t, read(c), syscall.ECONNRESET)
			_, err := c.Write([]byte("x"))
			assert.ErrorIs(t, err, syscall.ECONNRESET)
		}
	})
}

func TestNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(time.Second)
		c, s := pair(t, n)
		write(t, c, "under way")
		assert.Equal(t, 2, n.Conns())
		_, _ = s.Close(), c.Close()
		assert.Zero(t, n.Conns())
		for _, p := range []*pipe{c.in, c.out} {
			assert.Empty(t, p.marks)
			assert.False(t, p.flight != nil && p.flight.Stop(), "no timer runs on")
		}
	})
}

// An http.Server and an http.Transport are as large a user as there is.
func TestHTTPInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		n.SetLatency(10 * time.Millisecond)
		l, err := n.Listen("api.example:80")
		require.NoError(t, err)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Host)
		})}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()
		tr := &http.Transport{DialContext: n.DialContext}
		for range 3 {
			resp, err := (&http.Client{Transport: tr}).Get("http://api.example/")
			require.NoError(t, err)
			b, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			_ = resp.Body.Close()
			assert.Equal(t, "api.example", string(b))
		}
		assert.Equal(t, 1, n.Dials())
		tr.CloseIdleConnections()
		_ = srv.Close()
		<-served
	})
}
