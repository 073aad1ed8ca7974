package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// budget: the count of failures as the events tell it equals the Conn's.
func TestStressBudget(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(w *world) {
				g := rand.New(rand.NewPCG(seed, 1))
				max := []int{holdfast.NoRetry, 1, 3, 5}[g.IntN(4)]
				var rmu sync.Mutex
				roll := func(n int) int { rmu.Lock(); defer rmu.Unlock(); return g.IntN(n) }
				good := roll(4) + 1
				w.server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
					if roll(5) < good {
						return nil
					}
					switch roll(4) {
					case 0:
						return holdfasttest.Refuse{Status: 503}
					case 1:
						return holdfasttest.Drop{}
					case 2:
						return holdfasttest.Reset{}
					}
					return holdfasttest.Refuse{Status: 503, Header: http.Header{"Retry-After": {"3"}}}
				})
				w.server.OnConnect(func(p *holdfasttest.Peer) {
					go func() {
						time.Sleep(time.Duration(roll(20000)) * time.Millisecond)
						switch roll(3) {
						case 0:
							_ = p.SendClose(1011, "")
						case 1:
							p.Drop()
						}
					}()
					for {
						if _, _, err := p.Receive(); err != nil {
							return
						}
					}
				})
				o := w.options()
				o.Background = true
				o.Retry.MaxRetries = max
				var mu sync.Mutex
				count := 0
				var since time.Time
				var trace []string
				o.OnEvent = func(e holdfast.Event) {
					mu.Lock()
					defer mu.Unlock()
					trace = append(trace, fmt.Sprintf("%v %v %v d=%v n=%d %v", e.Time.Format("04:05.000"), e.Kind, e.State, e.Delay, count, e.Err))
					switch e.Kind {
					case holdfast.EventConnected:
						since = e.Time
					case holdfast.EventDisconnected:
						if e.Time.Sub(since) >= 10*time.Second {
							count = 0
						}
						if e.State == holdfast.StateWaiting || e.State == holdfast.StateClosed {
							count++
						}
					case holdfast.EventAttemptFailed:
						if e.State == holdfast.StateWaiting || e.State == holdfast.StateClosed {
							count++
						} else if e.State != holdfast.StateOffline {
							t.Errorf("attempt failed leads to %v", e.State)
						}
					}
				}
				c, err := holdfast.Dial(w.Context(), worldURL, o)
				if err != nil {
					t.Fatal(err)
				}
				end := time.After(2 * time.Minute)
			loop:
				for {
					select {
					case <-c.Done():
						break loop
					case <-end:
						break loop
					case <-time.After(time.Duration(1+roll(4000)) * time.Millisecond):
					}
					switch roll(5) {
					case 0:
						c.Reconnect()
					case 1:
						w.network.SetOnline(false)
						time.Sleep(time.Duration(roll(1000)) * time.Millisecond)
						w.network.SetOnline(true)
					case 2:
						w.network.SetOnline(false)
						w.network.SetOnline(true)
					case 3:
						w.network.Signal()
						c.Reconnect()
					}
				}
				synctest.Wait()
				mu.Lock()
				n := count
				mu.Unlock()
				s := c.Stats()
				if c.Err() != nil {
					limit := max
					if max < 0 {
						limit = 0
					}
					if n != limit+1 || !errors.Is(c.Err(), holdfast.ErrRetriesExhausted) {
						t.Errorf("ended at %d of %d: %v", n, max, c.Err())
					}
				} else if s.State == holdfast.StateWaiting || s.State == holdfast.StateConnected {
					if n != int(s.ConsecutiveFailures) {
						t.Errorf("count %d, stats %d", n, s.ConsecutiveFailures)
					}
				}
				if t.Failed() {
					mu.Lock()
					for _, l := range trace[maxi(0, len(trace)-25):] {
						t.Log(l)
					}
					mu.Unlock()
				}
				_ = c.CloseNow()
				time.Sleep(30 * time.Second)
			})
		})
	}
}

func maxi(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// Close from everywhere, and everything at once.
func TestStressCloseAnywhere(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(w *world) {
				var rmu sync.Mutex
				g := rand.New(rand.NewPCG(seed, 2))
				roll := func(n int) int { rmu.Lock(); defer rmu.Unlock(); return g.IntN(n) }
				var c *holdfast.Conn
				ready := make(chan struct{})
				where := roll(7)
				var wg sync.WaitGroup
				act := func(here int) {
					if here != where || roll(3) > 0 {
						return
					}
					<-ready
					switch roll(4) {
					case 0:
						_ = c.Close()
					case 1:
						_ = c.CloseNow()
					case 2:
						ctx, cancel := context.WithTimeout(context.Background(), time.Duration(roll(3000))*time.Millisecond)
						_ = c.CloseWith(ctx, 4000, "x")
						cancel()
					case 3:
						c.Reconnect()
					}
				}
				w.server.OnRequest(func(int, *http.Request) holdfasttest.Reply {
					if roll(4) == 0 {
						return holdfasttest.Refuse{Status: 401}
					}
					if roll(6) == 0 {
						return holdfasttest.Hang{}
					}
					return nil
				})
				silent := roll(4) == 0
				w.server.OnConnect(func(p *holdfasttest.Peer) {
					if silent {
						p.OnClose(func(uint16, string) bool { return false })
					}
					for i := 0; ; i++ {
						_, d, err := p.Receive()
						if err != nil {
							return
						}
						for range 3 {
							if p.Send(holdfast.Text, d) != nil {
								return
							}
						}
					}
				})
				o := w.options()
				o.Background = true
				o.Retry.MaxRetries = 5
				o.Retry.Decide = func(err error, d holdfast.Decision) holdfast.Decision { return d }
				o.ReceiveBuffer = 1000
				o.SendBuffer.MaxMessages = 4
				o.SendBuffer.WhenFull = holdfast.WhenFull(roll(3))
				o.Delivery = holdfast.Delivery(roll(2))
				o.Authorize = func(ctx context.Context, r *http.Request, last error) error {
					act(0)
					return nil
				}
				o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
					act(1)
					_ = h.Send(ctx, holdfast.Text, []byte("hi"))
					_, err := h.Receive(ctx)
					act(1)
					return err
				}
				on := o.OnEvent
				o.OnEvent = func(e holdfast.Event) { on(e); act(2) }
				var err error
				c, err = holdfast.Dial(w.Context(), worldURL, o)
				if err != nil {
					t.Fatal(err)
				}
				close(ready)
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(roll(60))*time.Second)
				defer cancel()
				for range 3 {
					wg.Go(func() {
						for ctx.Err() == nil {
							act(3)
							_ = c.Send(ctx, holdfast.Text, []byte("m"))
							_ = c.SendSync(ctx, holdfast.Text, []byte("s"))
							if c.Err() != nil {
								return
							}
							time.Sleep(time.Duration(1+roll(100)) * time.Millisecond)
						}
					})
				}
				wg.Go(func() {
					for ctx.Err() == nil && c.Err() == nil {
						act(4)
						_ = c.Flush(ctx)
						time.Sleep(50 * time.Millisecond)
					}
				})
				wg.Go(func() {
					for _, err := range c.Messages(ctx) {
						if err != nil {
							return
						}
						act(5)
						time.Sleep(time.Duration(roll(50)) * time.Millisecond)
					}
				})
				wg.Go(func() {
					for ctx.Err() == nil && c.Err() == nil {
						time.Sleep(time.Duration(1+roll(2000)) * time.Millisecond)
						act(6)
						switch roll(6) {
						case 0:
							w.server.ResetAll()
						case 1:
							w.network.SetOnline(false)
							time.Sleep(time.Duration(roll(1000)) * time.Millisecond)
							w.network.SetOnline(true)
						case 2:
							c.Reconnect()
						case 3:
							w.network.Signal()
						case 4:
							w.net.Freeze(true)
							time.Sleep(time.Duration(roll(20000)) * time.Millisecond)
							w.net.Freeze(false)
						}
					}
				})
				wg.Wait()
				start := time.Now()
				_ = c.Close()
				if d := time.Since(start); d > 5*time.Second {
					t.Errorf("Close took %v", d)
				}
				<-c.Done()
				if d := time.Since(start); d > 31*time.Second {
					t.Errorf("Done took %v", d)
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.events[len(w.events)-1].Kind != holdfast.EventClosed {
					t.Errorf("closed is not last")
				}
			})
		})
	}
}
