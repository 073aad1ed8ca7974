package holdfast_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func refuse(status int, header http.Header) func(int, *http.Request) holdfasttest.Reply {
	return func(int, *http.Request) holdfasttest.Reply {
		return holdfasttest.Refuse{Status: status, Header: header}
	}
}

func TestPromise01FirstConnectionGoesThroughTheSameLoop(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
			if n < 4 {
				return holdfasttest.Refuse{Status: 503}
			}
			return holdfasttest.Accept{}
		})
		start := time.Now()
		c := w.dial(nil)
		assert.Equal(w, 3*time.Second, time.Since(start))
		assert.Equal(w, uint64(4), c.Stats().Attempts)
		w.send(c, "hello")
		assert.Equal(w, "hello", string(w.receive(c).Data))
		require.NoError(w, c.Close())
		assert.Equal(w, []holdfast.EventKind{
			holdfast.EventConnecting, holdfast.EventAttemptFailed, holdfast.EventWaiting,
			holdfast.EventConnecting, holdfast.EventAttemptFailed, holdfast.EventWaiting,
			holdfast.EventConnecting, holdfast.EventAttemptFailed, holdfast.EventWaiting,
			holdfast.EventConnecting, holdfast.EventConnected, holdfast.EventClosed,
		}, w.kinds())
	})
}

func TestPromise02RetryLimitsAreExact(t *testing.T) {
	for _, r := range []struct{ max, dials int }{{1, 2}, {3, 4}, {10, 11}, {0, 11}, {holdfast.NoRetry, 1}} {
		limit := func(o *holdfast.Options) { o.Retry.MaxRetries = r.max }
		t.Run(strconv.Itoa(r.max), func(t *testing.T) {
			t.Run("against a server that refuses", func(t *testing.T) {
				bubble(t, func(w *world) {
					w.server.Close()
					_, err := w.tryDial(limit)
					require.ErrorIs(w, err, holdfast.ErrRetriesExhausted)
					var de *holdfast.DialError
					require.ErrorAs(w, err, &de)
					assert.Equal(w, holdfast.ClassServerDown, de.Class)
					assert.Equal(w, r.dials, de.Attempt)
					assert.Equal(w, r.dials, w.net.Dials())
				})
			})
			t.Run("against one that accepts and drops", func(t *testing.T) {
				bubble(t, func(w *world) {
					w.server.OnConnect(func(*holdfasttest.Peer) {})
					c := w.dial(limit)
					<-c.Done()
					require.ErrorIs(w, c.Err(), holdfast.ErrRetriesExhausted)
					var ce *holdfast.CloseError
					require.ErrorAs(w, c.Err(), &ce)
					assert.Equal(w, holdfast.StatusAbnormalClosure, ce.Code)
					assert.Equal(w, r.dials, w.net.Dials())
				})
			})
			t.Run("after the loss of a stable link", func(t *testing.T) {
				bubble(t, func(w *world) {
					c := w.dial(limit)
					time.Sleep(10 * time.Second)
					w.server.Close()
					<-c.Done()
					require.ErrorIs(w, c.Err(), holdfast.ErrRetriesExhausted)
					assert.Equal(w, r.dials-1, w.net.Dials()-1)
				})
			})
			t.Run("after the loss of a link one nanosecond short of stable", func(t *testing.T) {
				bubble(t, func(w *world) {
					w.server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
						if n == 1 && r.dials > 1 {
							return holdfasttest.Drop{} // one failure before
						}
						return holdfasttest.Accept{}
					})
					c, err := w.tryDial(limit)
					require.NoError(w, err)
					time.Sleep(10*time.Second - 1)
					w.server.Close()
					<-c.Done()
					assert.Equal(w, r.dials, w.net.Dials())
				})
			})
		})
	}
}

func TestPromise02BlockedCallsLearnOfTheCap(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) {
			o.Retry.MaxRetries = 1
			o.SendBuffer.MaxMessages = 1
		})
		w.server.Close()
		errs := make(chan error, 5)
		synctest.Wait()
		go func() { _, err := c.Receive(w.Context()); errs <- err }()
		go func() { errs <- c.SendSync(w.Context(), holdfast.Text, nil) }()
		synctest.Wait()
		go func() { errs <- c.Send(w.Context(), holdfast.Text, nil) }()
		go func() { errs <- c.Flush(w.Context()) }()
		go func() { errs <- c.WaitConnected(w.Context()) }()
		for range 5 {
			err := <-errs
			require.ErrorIs(w, err, holdfast.ErrRetriesExhausted)
			var de *holdfast.DialError
			require.ErrorAs(w, err, &de)
		}
		<-c.Done()
	})
}

func TestPromise03RetryAfterIsAFloor(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(func(n int, r *http.Request) holdfasttest.Reply {
			switch n {
			case 1:
				return holdfasttest.Refuse{Status: 503, Header: http.Header{"Retry-After": {"7"}}}
			case 2:
				return holdfasttest.Refuse{Status: 429, Header: http.Header{"Retry-After": {"86400"}}}
			}
			return holdfasttest.Accept{}
		})
		start := time.Now()
		c := w.dial(nil)
		assert.Equal(w, 7*time.Second+5*time.Minute, time.Since(start))
		require.NoError(w, c.Close())
	})
}

func TestPromise03DialsNotBeforeTheDelayIsOver(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Close()
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		synctest.Wait()
		require.Equal(w, 1, w.net.Dials())
		time.Sleep(time.Second - 1)
		synctest.Wait()
		require.Equal(w, 1, w.net.Dials())
		time.Sleep(1)
		synctest.Wait()
		require.Equal(w, 2, w.net.Dials())
		assert.Equal(w, holdfast.StateWaiting, c.State())
		require.NoError(w, c.Close())
	})
}

func TestPromise03StopEndsLikeTheCap(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Close()
		_, err := w.tryDial(func(o *holdfast.Options) {
			o.Retry.New = func() holdfast.BackOff { return constant(-1) }
		})
		require.ErrorIs(w, err, holdfast.ErrRetriesExhausted)
		assert.Equal(w, 1, w.net.Dials())
	})
}

func TestPromise04TerminalCloseCodesEndTheConn(t *testing.T) {
	terminal := map[uint16]bool{1000: true, 1002: true, 1003: true, 1007: true, 1008: true, 1009: true, 1010: true, 3000: true, 3003: true}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3003, 3008, 3999, 4000, 4999} {
		t.Run(strconv.Itoa(int(code)), func(t *testing.T) {
			bubble(t, func(w *world) {
				w.server.OnConnect(func(p *holdfasttest.Peer) {
					if p.N() == 1 {
						_ = p.Close(code, "because")
						return
					}
					_, _, _ = p.Receive()
				})
				c := w.dial(nil)
				if terminal[code] {
					<-c.Done()
					var ce *holdfast.CloseError
					require.ErrorAs(w, c.Err(), &ce)
					assert.Equal(w, holdfast.CloseError{Code: holdfast.StatusCode(code), Reason: "because", Remote: true}, *ce)
					assert.Equal(w, 1, w.net.Dials())
					return
				}
				synctest.Wait()
				waited := w.seen(holdfast.EventWaiting)
				require.Len(w, waited, 1)
				if code == 1013 {
					assert.GreaterOrEqual(w, waited[0].Delay, 15*time.Second)
				} else {
					assert.Equal(w, time.Second, waited[0].Delay)
				}
				require.NoError(w, w.server.WaitAccepted(w.Context(), 2))
				require.NoError(w, c.Close())
			})
		})
	}
}

func TestPromise04StatusesAfterAStableLink(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
			if n == 2 {
				return holdfasttest.Refuse{Status: 404}
			}
			return holdfasttest.Accept{}
		})
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			if p.N() == 1 {
				_, _, _ = p.Receive()
				_ = p.Close(1008, "deploy")
				return
			}
			_, _, _ = p.Receive()
		})
		c := w.dial(nil)
		time.Sleep(10 * time.Second)
		w.send(c, "go")
		require.NoError(w, w.server.WaitAccepted(w.Context(), 2))
		waited := w.seen(holdfast.EventWaiting)
		require.Len(w, waited, 2)
		assert.GreaterOrEqual(w, waited[0].Delay, 15*time.Second, "1008")
		assert.GreaterOrEqual(w, waited[1].Delay, 15*time.Second, "404")
		require.NoError(w, c.Close())
	})
}

func TestPromise04UnauthorizedGoesOnceMoreThroughAuthorize(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(func(_ int, r *http.Request) holdfasttest.Reply {
			if r.Header.Get("Authorization") != "Bearer new" {
				return holdfasttest.Refuse{Status: 401}
			}
			return holdfasttest.Accept{}
		})
		authorize := func(token string) func(o *holdfast.Options) {
			return func(o *holdfast.Options) {
				o.AllowInsecureCredentials = true
				o.Authorize = func(_ context.Context, r *http.Request, last error) error {
					var de *holdfast.DialError
					if errors.As(last, &de) && de.StatusCode == 401 {
						token = "new"
					}
					r.Header.Set("Authorization", "Bearer "+token)
					return nil
				}
			}
		}
		c := w.dial(authorize("old"))
		assert.Equal(w, 2, w.server.Requests())
		require.NoError(w, c.Close())

		w.server.OnRequest(refuse(401, nil))
		_, err := w.tryDial(authorize("old"))
		var de *holdfast.DialError
		require.ErrorAs(w, err, &de)
		assert.Equal(w, holdfast.ClassUnauthorized, de.Class)
		assert.NotErrorIs(w, err, holdfast.ErrRetriesExhausted)
		assert.Equal(w, 4, w.server.Requests(), "once more, then stop")

		_, err = w.tryDial(nil)
		require.ErrorAs(w, err, &de)
		assert.Equal(w, 5, w.server.Requests(), "no second try without Authorize")
	})
}
