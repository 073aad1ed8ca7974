package fallback_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// longStates are those that a request can be in when its link is freed; each is
// set up after Dial.
var longStates = map[string]func(w *longWorld){
	"hanging": func(w *longWorld) {
		w.poll, w.send, w.close = http.HandlerFunc(silent), http.HandlerFunc(silent), http.HandlerFunc(silent)
	},
	"in an answer": func(w *longWorld) {
		h := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", "1000")
			ours(200, longPing())(rw, r)
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		w.poll, w.send, w.close = h, h, h
	},
	"dialling": func(w *longWorld) {
		time.Sleep(10 * time.Second) // no spare connection is left
		w.net.Reset()
		synctest.Wait()
		w.net.Blackhole("server.test:80", true)
	},
	"frozen": func(w *longWorld) { w.net.Freeze(true) },
}

// longAborts runs call in every state, and frees the link with free meanwhile.
// The bubble would not end if anything were left.
func longAborts(t *testing.T, call func(l transport.Link) error, free func(l transport.Link)) {
	for name, set := range longStates {
		t.Run(name, func(t *testing.T) {
			longBubble(t, func(t *testing.T, w *longWorld) {
				l := w.dial(t)
				set(w)
				ended := make(chan error, 1)
				go func() { ended <- call(l) }()
				time.Sleep(time.Second)
				free(l)
				synctest.Wait()
				select {
				case err := <-ended:
					require.ErrorIs(t, err, net.ErrClosed)
				default:
					require.Fail(t, "the call goes on")
				}
				w.net.Freeze(false)
				l.Abort()
				_, _, err := l.Read(nil)
				require.ErrorIs(t, err, net.ErrClosed)
				n, err := l.Write(batch(longAck(1)))
				require.ErrorIs(t, err, net.ErrClosed)
				assert.Zero(t, n)
				require.ErrorIs(t, l.Close(t.Context(), 1000, ""), net.ErrClosed)
			})
		})
	}
}

func TestLongPollAbort(t *testing.T) {
	t.Run("Read", func(t *testing.T) {
		longAborts(t, func(l transport.Link) error {
			_, _, err := l.Read(nil)
			return err
		}, transport.Link.Abort)
	})
	t.Run("Write", func(t *testing.T) {
		longAborts(t, func(l transport.Link) error {
			_, err := l.Write(batch(longData(1, 60<<10)))
			return err
		}, transport.Link.Abort)
	})
	t.Run("Close", func(t *testing.T) {
		longAborts(t, func(l transport.Link) error { return l.Close(context.Background(), 1000, "") }, transport.Link.Abort)
	})
	t.Run("Read, by Close", func(t *testing.T) {
		longAborts(t, func(l transport.Link) error {
			_, _, err := l.Read(nil)
			return err
		}, func(l transport.Link) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			assert.ErrorIs(t, l.Close(ctx, 1000, ""), context.Canceled)
		})
	})
}

// Read and Write wait for the program's own code; Abort does not.
func TestLongPollAbortInAuthorize(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		dialled := false
		w.request.Authorize = func(ctx context.Context, _ *http.Request) error {
			if !dialled {
				return nil
			}
			<-ctx.Done()
			time.Sleep(time.Minute)
			return errors.New("too late")
		}
		l := w.dial(t)
		dialled = true
		ended := make(chan error, 1)
		go func() {
			_, _, err := l.Read(nil)
			ended <- err
		}()
		synctest.Wait()
		start := time.Now()
		l.Abort()
		assert.Zero(t, time.Since(start))
		require.ErrorIs(t, <-ended, net.ErrClosed)
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

func TestLongPollAbortInDialContext(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		slow := false
		dial := w.request.DialContext
		w.request.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if slow {
				time.Sleep(time.Minute)
				ctx = context.Background()
			}
			return dial(ctx, network, addr)
		}
		l := w.dial(t)
		w.net.Reset()
		synctest.Wait()
		slow = true
		ended := make(chan error, 2)
		go func() {
			_, _, err := l.Read(nil)
			ended <- err
		}()
		go func() {
			_, err := l.Write(batch(longAck(1)))
			ended <- err
		}()
		synctest.Wait()
		start := time.Now()
		l.Abort()
		assert.Zero(t, time.Since(start))
		require.ErrorIs(t, <-ended, net.ErrClosed)
		require.ErrorIs(t, <-ended, net.ErrClosed)
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

func TestLongPollClose(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		l := w.dial(t)
		ended := make(chan error, 1)
		go func() {
			_, _, err := l.Read(nil)
			ended <- err
		}()
		synctest.Wait()
		require.NoError(t, l.Close(t.Context(), 1000, "bye"))
		require.ErrorIs(t, <-ended, net.ErrClosed)
		seen := w.of("close")
		require.Len(t, seen, 1)
		assert.Empty(t, seen[0].body)
		assert.Equal(t, longCredential, seen[0].header.Get("Holdfast-Session"))
		assert.Equal(t, "0", seen[0].header.Get("Content-Length"))
		assert.NotEmpty(t, seen[0].header.Get("Idempotency-Key"))
		require.ErrorIs(t, l.Close(t.Context(), 1000, ""), net.ErrClosed)
		assert.Len(t, w.of("close"), 1)
	})
}

func TestLongPollCloseAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		h  http.HandlerFunc
		ok bool
	}{
		"gone already": {ours(410, longReject(410)), true},
		"empty":        {ours(200, nil), true},
		"unauthorized": {wordless(401), false},
		"a page":       {theirs(200), false},
		"no answer":    {broken, false},
	} {
		t.Run(name, func(t *testing.T) {
			longBubble(t, func(t *testing.T, w *longWorld) {
				w.close = tt.h
				l := w.dial(t)
				err := l.Close(t.Context(), 1000, "")
				if tt.ok {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
					noSecrets(t, err)
				}
				_, _, err = l.Read(nil)
				require.ErrorIs(t, err, net.ErrClosed)
			})
		})
	}
}

func TestLongPollCloseIsBounded(t *testing.T) {
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.close = http.HandlerFunc(silent)
		l := w.dial(t)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		require.ErrorIs(t, l.Close(ctx, 1000, ""), context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(w.start))
	})
	longBubble(t, func(t *testing.T, w *longWorld) {
		w.close = http.HandlerFunc(silent)
		l := w.dial(t)
		require.Error(t, l.Close(t.Context(), 1000, ""))
		assert.Equal(t, 10*time.Second, time.Since(w.start), "and where ctx does not end, by WriteTimeout")
	})
}
