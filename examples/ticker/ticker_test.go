package main

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// world is what the program meets in a test: a network in memory, a server on
// it that does what its script says, and what the connection says of it all.
type world struct {
	*testing.T
	network *holdfasttest.Memory
	server  *holdfasttest.Server
	rec     *holdfasttest.Recorder

	exchange *exchange
	ticker   *ticker
	ended    chan error // what run has returned
	stop     context.CancelFunc
}

// bubble runs f in virtual time: an hour of waiting takes no time, and a
// goroutine that is left over fails the test.
func bubble(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			T: t, network: holdfasttest.NewMemory(), rec: holdfasttest.NewRecorder(t),
			exchange: newExchange(map[string]int{"ACME": 100}), ended: make(chan error, 1),
		}
		w.server = w.network.NewServer("")
		defer w.server.Close()
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			_ = w.exchange.serve(func() ([]byte, error) {
				_, b, err := p.Receive()
				return b, err
			}, func(b []byte) error {
				return p.Send(holdfast.Text, b)
			})
		})
		w.ticker = &ticker{
			url: w.server.URL(), symbols: []string{"ACME"},
			options: w.network.Options(),
		}
		w.ticker.options.OnEvent = w.rec.OnEvent
		f(w)
	})
}

// run starts the program; it is stopped when the test ends.
func (w *world) run() {
	ctx, stop := context.WithCancel(w.Context())
	w.stop = stop
	w.Cleanup(stop)
	go func() { w.ended <- w.ticker.run(ctx) }()
}

// finish stops the program, which must not complain.
func (w *world) finish() {
	w.Helper()
	w.stop()
	if err := <-w.ended; err != nil {
		w.Errorf("the program ended with %v", err)
	}
}

// gaveUp waits for the program to end by itself and returns why.
func (w *world) gaveUp() error {
	w.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(time.Hour):
		w.Fatalf("the program has not given up:\n%v", w.rec)
		return nil
	}
}

// shows waits until nothing moves and says what price the program has; 0 stands
// for none.
func (w *world) shows(want int) {
	w.Helper()
	synctest.Wait()
	cents, ok := w.ticker.price("ACME")
	if !ok {
		cents = 0
	}
	if cents != want {
		w.Errorf("the price is %d, not %d:\n%v", cents, want, w.rec)
	}
}

// closeCode is the code that a link, or the program, has ended with.
func closeCode(err error) holdfast.StatusCode {
	var ce *holdfast.CloseError
	errors.As(err, &ce)
	if ce == nil {
		return 0
	}
	return ce.Code
}

func TestDroppedConnection(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Script(holdfasttest.AfterSent(3).Drop()) // subscribed, a snapshot, a price
		w.run()
		w.shows(100)
		w.exchange.set("ACME", 101) // the third message
		synctest.Wait()
		w.exchange.set("ACME", 102) // nobody hears of it

		w.rec.Wait(time.Minute, holdfast.EventGap) // which comes with the next connection
		w.shows(102)
		w.finish()
	})
}

func TestCloseCodes(t *testing.T) {
	t.Run("a restart is waited for", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.server.Script(holdfasttest.AfterSent(2).Close(1012, "deploying"))
			w.run()
			lost := w.rec.Wait(time.Minute, holdfast.EventDisconnected)
			if code := closeCode(lost.Err); code != holdfast.StatusServiceRestart {
				w.Errorf("code %v", code)
			}
			w.rec.Wait(time.Minute, holdfast.EventConnected)
			w.rec.Wait(time.Minute, holdfast.EventGap)
			w.shows(100)
			w.finish()
		})
	})
	t.Run("a refusal is final", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.server.Script(holdfasttest.After(time.Second).Close(1008, "no licence"))
			w.run()
			if err := w.gaveUp(); closeCode(err) != holdfast.StatusPolicyViolation {
				w.Errorf("ended with %v", err)
			}
			w.rec.AssertRetries(0)
			w.shows(0)
		})
	})
}

func TestRefused(t *testing.T) {
	t.Run("at first", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.server.Script(holdfasttest.Times(2, holdfasttest.Refuse{Status: 503, RetryAfter: 20 * time.Second}))
			w.run()
			w.rec.Wait(time.Hour, holdfast.EventConnected)
			w.rec.AssertRetries(2)
			w.rec.AssertDelays(20*time.Second, 22*time.Second) // the server's wish is a floor
			w.shows(100)
			w.finish()
		})
	})
	t.Run("for ever", func(t *testing.T) {
		bubble(t, func(w *world) {
			w.server.Script(holdfasttest.Always(holdfasttest.Refuse{Status: 500}))
			w.ticker.options.Retry.MaxRetries = 4
			w.run()
			if err := w.gaveUp(); !errors.Is(err, holdfast.ErrRetriesExhausted) {
				w.Errorf("ended with %v", err)
			}
			w.rec.AssertRetries(4)
			w.rec.AssertDelays(0, 8*time.Second) // up to 1, 2, 4 and 8 s
		})
	})
}

func TestHalfOpen(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Script(holdfasttest.AfterSent(2).Freeze())
		w.run()
		w.shows(100)
		w.exchange.set("ACME", 101) // on its way for ever

		// After 25 s of silence there is a ping, and 10 s later the verdict.
		lost := w.rec.Wait(time.Minute, holdfast.EventDisconnected)
		if !errors.Is(lost.Err, holdfast.ErrNoPong) {
			w.Errorf("lost because of %v", lost.Err)
		}
		w.rec.Wait(time.Minute, holdfast.EventGap)
		w.shows(101)
		w.finish()
	})
}

func TestWebSocketIsBlocked(t *testing.T) {
	for _, blockade := range holdfasttest.Blockades() {
		t.Run(blockade.String(), func(t *testing.T) {
			bubble(t, func(w *world) {
				sessions := w.exchange.handler()
				w.server.OnConnect(nil)
				w.server.Handle(sessions) // package server has WebSocket, and polls too
				w.server.Script(holdfasttest.Always(blockade))
				w.ticker.options.Fallback = []holdfast.Transport{fallback.LongPoll(nil)}
				w.run()
				w.rec.Wait(time.Minute, holdfast.EventFellBack)
				w.shows(100)

				w.server.Script() // WebSocket gets through again
				w.rec.Wait(time.Hour, holdfast.EventUpgraded)
				w.exchange.set("ACME", 101)
				w.shows(101)
				w.rec.AssertCount(holdfast.EventGap, 0) // the session went on, and nothing was missed

				w.finish()
				if err := sessions.Shutdown(w.Context()); err != nil {
					w.Error(err)
				}
			})
		})
	}
}

func TestSlowConnection(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Script(holdfasttest.Slow(2*time.Second, 1000)) // 1,000 bytes a second
		w.run()
		w.rec.Wait(time.Minute, holdfast.EventConnected)
		time.Sleep(10 * time.Second)
		w.shows(100)
		w.exchange.set("ACME", 101)
		time.Sleep(2 * time.Second) // the latency; then come the message's 40 bytes
		w.shows(100)
		time.Sleep(100 * time.Millisecond)
		w.shows(101)
		time.Sleep(time.Hour)
		w.rec.AssertKinds(holdfast.EventConnecting, holdfast.EventConnected) // slow is not dead
		w.finish()
	})
}

func TestOffline(t *testing.T) {
	bubble(t, func(w *world) {
		w.run()
		w.shows(100)
		w.network.SetOnline(false)
		w.rec.Wait(time.Minute, holdfast.EventOffline)
		w.exchange.set("ACME", 101)
		time.Sleep(8 * time.Hour)
		w.shows(0)

		w.network.SetOnline(true)
		w.rec.Wait(2*time.Second, holdfast.EventConnected)
		w.rec.Wait(2*time.Second, holdfast.EventGap)
		w.shows(101)
		w.rec.AssertRetries(0) // a night offline costs none
		w.finish()
	})
}

func TestServerRestarts(t *testing.T) {
	bubble(t, func(w *world) {
		w.run()
		w.shows(100)
		w.server.Stop()
		time.Sleep(20 * time.Second)
		w.shows(0)
		w.exchange.set("ACME", 101)
		w.server.Start()
		w.rec.Wait(time.Minute, holdfast.EventGap)
		w.shows(101)
		w.finish()
	})
}

// TestWhatHappened shows the recorder: the whole story of a bad day, in order.
func TestWhatHappened(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.Script(
			holdfasttest.Refuse{Status: http.StatusBadGateway},
			holdfasttest.Reset{},
			holdfasttest.After(time.Minute).Reset(),
		)
		w.run()
		w.rec.Wait(time.Hour, holdfast.EventGap)
		w.rec.AssertKinds(
			holdfast.EventConnecting, holdfast.EventAttemptFailed, holdfast.EventWaiting,
			holdfast.EventConnecting, holdfast.EventAttemptFailed, holdfast.EventWaiting,
			holdfast.EventConnecting, holdfast.EventConnected,
			holdfast.EventDisconnected, holdfasttest.Ellipsis, holdfast.EventConnected, holdfast.EventGap,
		)
		w.rec.AssertRetries(3)
		w.rec.AssertDelays(0, 2*time.Second)
		w.finish()
		w.rec.Wait(time.Minute, holdfast.EventClosed)
	})
}
