package fallback_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/transport"
)

// longLoopback serves s on loopback, and counts the connections made to it.
func longLoopback(t *testing.T, s http.Handler, secure bool) (*transport.Request, *atomic.Int32) {
	t.Helper()
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(s)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	r := &transport.Request{Session: &longSession{attachment: 1}, WriteTimeout: 10 * time.Second}
	if secure {
		srv.EnableHTTP2 = true
		srv.StartTLS()
		pool := x509.NewCertPool()
		pool.AddCert(srv.Certificate())
		r.TLSConfig = &tls.Config{RootCAs: pool}
	} else {
		srv.Start()
	}
	u, err := url.Parse(srv.URL + "/chat")
	require.NoError(t, err)
	r.URL = u
	// In this order: a link is freed before its server is closed, then nothing is left.
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		srv.Close()
		goleak.VerifyNone(t, ignore)
	})
	return r, &conns
}

// Polls and sends cost no handshake: there is one connection for each, or one for
// both.
func TestLongPollConnectionsAreUsedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		secure bool
		proto  int
		conns  int32
	}{
		"HTTP/1.1": {false, 1, 3}, // net/http may still be dialling the second when it asks for it again
		"HTTP/2":   {true, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			const rounds = 100
			s := newLongServer()
			turn, answered := make(chan struct{}), ours(200, longPing())
			s.poll = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				select {
				case <-turn:
					answered(rw, r)
				case <-r.Context().Done():
				}
			})
			r, conns := longLoopback(t, s, tt.secure)
			l, err := fallback.LongPoll(nil).Dial(t.Context(), r)
			require.NoError(t, err)
			defer l.Abort()
			_, _, err = l.Read(nil)
			require.NoError(t, err)
			read := make(chan error, rounds)
			go func() {
				for range rounds {
					_, _, err := l.Read(nil)
					read <- err
				}
			}()
			for range rounds {
				_, err := l.Write(batch(longData(1, 1000)))
				require.NoError(t, err)
				turn <- struct{}{}
				require.NoError(t, <-read)
			}
			require.NoError(t, l.Close(t.Context(), 1000, ""))
			assert.LessOrEqual(t, conns.Load(), tt.conns)
			for _, op := range []string{"open", "poll", "send", "close"} {
				for _, p := range s.of(op) {
					assert.Equal(t, tt.proto, p.proto)
					assert.Equal(t, int64(len(p.body)), p.length, op)
				}
			}
			assert.Len(t, s.of("poll"), rounds)
		})
	}
}

// What happens over HTTP/1.1 happens over HTTP/2.
func TestLongPollFailuresOverHTTP2(t *testing.T) {
	s := newLongServer()
	s.poll = then(broken, ours(200, longPing()), cutShort(glue(longData(1, 50), longData(2, 50)[:10])), theirs(502), ours(410, longReject(410)), broken, broken)
	s.send = then(broken, ours(200, longAck(1)), cutShort(longAck(1)[:2]), theirs(502))
	r, _ := longLoopback(t, s, true)
	l, err := fallback.LongPoll(nil).Dial(t.Context(), r)
	require.NoError(t, err)
	defer l.Abort()
	assert.Equal(t, longWelcome(), readBatch(t, l))
	assert.Equal(t, longPing(), readBatch(t, l))
	assert.Equal(t, longData(1, 50), readBatch(t, l))
	assert.Equal(t, longReject(410), readBatch(t, l))
	require.Error(t, readFails(t, l))
	_, err = l.Write(batch(longData(1, 100)))
	require.NoError(t, err)
	assert.Equal(t, 502, statusOf(t, writeFails(t, l, longData(2, 100))))
	assert.Len(t, s.of("poll"), 7)
	assert.Len(t, s.of("send"), 4)
}

func TestLongPollAbortOverHTTP2(t *testing.T) {
	s := newLongServer()
	arrived := make(chan struct{})
	s.poll = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		close(arrived)
		silent(rw, r)
	})
	r, _ := longLoopback(t, s, true)
	l, err := fallback.LongPoll(nil).Dial(t.Context(), r)
	require.NoError(t, err)
	_, _, err = l.Read(nil)
	require.NoError(t, err)
	read := make(chan error, 1)
	go func() {
		_, _, err := l.Read(nil)
		read <- err
	}()
	<-arrived
	l.Abort()
	require.ErrorIs(t, <-read, net.ErrClosed)
}

// A server that closes a connection while nothing is asked over it costs nothing.
func TestLongPollConnectionClosedWhileIdle(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.poll = ours(200, longPing())
		l := w.dial(t)
		defer l.Abort()
		for range 5 {
			readBatch(t, l)
			_, err := l.Write(batch(longAck(1)))
			require.NoError(t, err)
			w.net.Reset() // noticed before, or not until the next request
		}
		readBatch(t, l)
		w.net.Reset()
		synctest.Wait()
		_, err := l.Write(batch(longAck(1)))
		require.NoError(t, err)
		assert.Len(t, w.of("send"), 6)
	})
}

// Connections end with the link, however it ends.
func TestLongPollIdleConnectionsEnd(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		l := w.dial(t)
		time.Sleep(90 * time.Second)
		synctest.Wait()
		assert.Zero(t, w.net.Conns(), "nothing was asked")
		_, err := l.Write(batch(longAck(1)))
		require.NoError(t, err)
		assert.Equal(t, 2, w.net.Conns())
		l.Abort()
	})
}

// A poll and a send are under way at once. So over plain HTTP a second connection
// is made beside the first, and closed if nobody wants it.
func TestLongPollSpareConnection(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.net.SetLatency(50 * time.Millisecond)
		l := w.dial(t)
		defer l.Abort()
		go func() { _, _, _ = l.Read(nil) }() // hangs in a poll
		synctest.Wait()
		began := time.Now()
		_, err := l.Write(batch(longAck(1)))
		require.NoError(t, err)
		assert.Equal(t, 100*time.Millisecond, time.Since(began), "one round trip")
		w.net.SetLatency(0)
	})
	longBubble(t, func(t *testing.T, w *longWorld) {
		l := w.dial(t)
		defer l.Abort()
		synctest.Wait()
		assert.Equal(t, 4, w.net.Conns())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, 2, w.net.Conns())
	})
}
