//go:build !js

package fallback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/transport"
)

func texted(bodies ...string) (msgs []transport.Message) {
	for _, b := range bodies {
		msgs = append(msgs, transport.Message{Type: text, Data: []byte(b)})
	}
	return msgs
}

// posting serves POSTs with h and holds GETs, but for the first.
func posting(h http.HandlerFunc) http.HandlerFunc {
	gets := script(status(204), hold)
	return func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			h(rw, r)
		} else {
			gets(rw, r)
		}
	}
}

func TestPlainPollSends(t *testing.T) {
	plainBubble(t, posting(script(status(200), status(204), says("ignored"), status(202))), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		n, err := l.Write(texted("a", "", "ä"))
		require.NoError(t, err)
		assert.Equal(t, 3, n)
		n, err = l.Write([]transport.Message{{Type: transport.Binary, Data: []byte{0, 255}}})
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		var bodies, types, lengths []string
		for _, s := range w.requests() {
			if s.method == http.MethodPost {
				bodies, types, lengths = append(bodies, s.body), append(types, s.header.Get("Content-Type")), append(lengths, s.header.Get("Content-Length"))
				assert.Equal(t, "/chat?token=SECRET", s.uri)
			}
		}
		assert.Equal(t, []string{"a", "", "ä", "\x00\xff"}, bodies)
		assert.Equal(t, []string{"1", "0", "2", "2"}, lengths)
		const plain, bin = "text/plain; charset=utf-8", "application/octet-stream"
		assert.Equal(t, []string{plain, plain, plain, bin}, types)
		assert.True(t, l.Info().Answered)
		assert.Equal(t, 2, w.net.Dials(), "one connection each way")
		l.Abort()
	})
}

func TestPlainPollContentTypes(t *testing.T) {
	for name, test := range map[string]struct {
		opts   fallback.PlainPollOptions
		header http.Header
		typ    transport.MessageType
		want   string
	}{
		"JSON":            {fallback.PlainPollOptions{Split: true}, nil, text, "application/json"},
		"JSON but binary": {fallback.PlainPollOptions{Split: true}, nil, transport.Binary, "application/octet-stream"},
		"the program's":   {fallback.PlainPollOptions{Split: true}, http.Header{"content-type": {"text/x"}}, text, "text/x"},
	} {
		t.Run(name, func(t *testing.T) {
			plainBubble(t, posting(status(200)), func(t *testing.T, w *plainWorld) {
				r := w.request()
				r.Header = test.header
				l, err := fallback.PlainPoll(test.opts).Dial(t.Context(), r)
				require.NoError(t, err)
				_, err = l.Write([]transport.Message{{Type: test.typ, Data: []byte("1")}})
				require.NoError(t, err)
				seen := w.requests()
				assert.Equal(t, []string{test.want}, seen[len(seen)-1].header.Values("Content-Type"))
				l.Abort()
			})
		})
	}
}

func TestPlainPollRefusedSend(t *testing.T) {
	redirect := func(code int) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/other", code) }
	}
	broken := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, test := range map[string]struct {
		h      http.HandlerFunc
		status int
		n      int
	}{
		"400": {status(400), 400, 2}, "413": {status(413), 413, 2}, "500": {status(500), 500, 2}, "502": {status(502), 502, 2}, "304": {status(304), 304, 2},
		"302": {redirect(302), 302, 2}, "307": {redirect(307), 307, 2}, "308": {redirect(308), 308, 2},
		"401": {status(401), 401, 1}, "407": {status(407), 407, 1}, "408": {status(408), 408, 1}, "421": {status(421), 421, 1}, "429": {status(429), 429, 1}, "503": {status(503), 503, 1},
		"broken": {broken, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			plainBubble(t, posting(script(status(200), test.h)), func(t *testing.T, w *plainWorld) {
				l := w.dial(t, fallback.PlainPollOptions{})
				n, err := l.Write(texted("a", "b", "c"))
				assert.Equal(t, test.n, n)
				var te *transport.Error
				require.ErrorAs(t, err, &te)
				assert.Equal(t, test.status, te.StatusCode)
				assert.Equal(t, transport.PhaseHandshake, te.Phase)
				for _, s := range texts(err) {
					assert.NotContains(t, s, "SECRET")
				}
				n, again := l.Write(texted("d"))
				assert.Zero(t, n)
				assert.Equal(t, err, again, "it stays")
				assert.Len(t, w.times("POST"), 2)
				l.Abort()
			})
		})
	}
}

func TestPlainPollSendThatDoesNotLeave(t *testing.T) {
	plainBubble(t, posting(status(200)), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		n, err := l.Write([]transport.Message{{Type: 3}})
		assert.Zero(t, n)
		assert.Error(t, err)

		l = w.dial(t, fallback.PlainPollOptions{})
		w.net.SetDown(syscall.ENETUNREACH)
		n, err = l.Write(texted("a"))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, syscall.ENETUNREACH)
		w.net.SetDown(nil)

		l = w.dial(t, fallback.PlainPollOptions{})
		w.net.Blackhole("server.test:80", true)
		n, err = l.Write(texted("a"))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Empty(t, w.times("POST"))
	})
}

func TestPlainPollSendTimeout(t *testing.T) {
	plainBubble(t, posting(script(status(200), hold)), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		began := time.Now()
		n, err := l.Write(texted("a", "b"))
		assert.Equal(t, 2, n, "it may have arrived")
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 10*time.Second, time.Since(began))
		l.Abort()
	})
}

// A large message may lie in buffers when all of it is written.
func TestPlainPollSendTimeoutOfLargeMessage(t *testing.T) {
	plainBubble(t, posting(hold), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		began := time.Now()
		_, err := l.Write([]transport.Message{{Type: text, Data: make([]byte, 128<<10)}})
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, 12*time.Second, time.Since(began))
		l.Abort()
	})
}

// What is bounded is the time in which nothing moves.
func TestPlainPollSlowSendLives(t *testing.T) {
	const size = 4 << 20
	got := make(chan int, 1)
	h := func(rw http.ResponseWriter, r *http.Request) {
		n := 0
		buf := make([]byte, 1<<20)
		for {
			m, err := io.ReadFull(r.Body, buf)
			n += m
			if err != nil {
				break
			}
			time.Sleep(9 * time.Second)
		}
		got <- n
	}
	streamingBubble(t, h, func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		began := time.Now()
		_, err := l.Write([]transport.Message{{Type: text, Data: bytes.Repeat([]byte("x"), size)}})
		require.NoError(t, err)
		assert.Greater(t, time.Since(began), 30*time.Second)
		assert.Equal(t, size, <-got)
		l.Abort()
	})
}

func TestPlainPollStuckSend(t *testing.T) {
	var release chan struct{}
	h := func(http.ResponseWriter, *http.Request) { <-release } // reads nothing
	streamingBubble(t, h, func(t *testing.T, w *plainWorld) {
		release = make(chan struct{})
		defer close(release)
		l := w.dial(t, fallback.PlainPollOptions{})
		n, err := l.Write([]transport.Message{{Type: text, Data: bytes.Repeat([]byte("x"), 4<<20)}})
		assert.Equal(t, 1, n)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
		l.Abort()
	})
}

func TestPlainPollAbortEndsWrite(t *testing.T) {
	plainBubble(t, posting(hold), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		ended := make(chan error)
		go func() {
			n, err := l.Write(texted("a", "b"))
			if n != 1 {
				err = errors.Join(err, fmt.Errorf("n is %d", n))
			}
			ended <- err
		}()
		synctest.Wait()
		l.Abort()
		assert.Equal(t, net.ErrClosed, <-ended)
		n, err := l.Write(texted("a"))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, net.ErrClosed)

		other := w.dial(t, fallback.PlainPollOptions{})
		other.Abort()
		n, err = other.Write(texted("a"))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, net.ErrClosed)
		assert.Len(t, w.times("POST"), 1)
	})
}

func TestPlainPollAbortEndsDial(t *testing.T) {
	plainBubble(t, posting(hold), func(t *testing.T, w *plainWorld) {
		r := w.request()
		dials, returned := 0, make(chan struct{})
		r.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials++; dials == 1 {
				return w.net.DialContext(ctx, network, addr)
			}
			<-ctx.Done()
			close(returned)
			return nil, ctx.Err()
		}
		l, err := fallback.PlainPoll(fallback.PlainPollOptions{}).Dial(t.Context(), r)
		require.NoError(t, err)
		ended := make(chan error)
		go func() {
			_, err := l.Write(texted("a"))
			ended <- err
		}()
		synctest.Wait()
		l.Abort()
		assert.Equal(t, net.ErrClosed, <-ended)
		<-returned
	})
}

// A POST is not repeated, so it does not use a connection that the server may
// be closing.
func TestPlainPollSendConnections(t *testing.T) {
	plainBubble(t, posting(status(200)), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		_, err := l.Write(texted("a", "b"))
		require.NoError(t, err)
		assert.Equal(t, 2, w.net.Dials())
		time.Sleep(4 * time.Second)
		_, err = l.Write(texted("c"))
		require.NoError(t, err)
		assert.Equal(t, 3, w.net.Dials())
		l.Abort()
	})
}

func TestPlainPollEndlessAnswerToSend(t *testing.T) {
	h := func(rw http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(rw, strings.Repeat("x", 1<<12)); err != nil {
				return
			}
		}
	}
	plainBubble(t, posting(h), func(t *testing.T, w *plainWorld) {
		l := w.dial(t, fallback.PlainPollOptions{})
		_, err := l.Write(texted("a", "b"))
		require.NoError(t, err)
		l.Abort()
	})
}
