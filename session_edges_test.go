package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/server"
)

// The server goes on talking while the link is cut: what it said then comes
// within two round trips of the next link.
func TestPromise09ResumesWithinTwoRoundTrips(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		talk := make(chan string)
		p.echo = func(ctx context.Context, s *server.Session) error {
			for {
				select {
				case text := <-talk:
					if err := s.Send(ctx, holdfast.Text, []byte(text)); err != nil {
						return err
					}
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		p.net.SetLatency(50 * time.Millisecond)
		p.start()
		c := dial(nil)
		talk <- "before"
		p.expect(c, "before")
		time.Sleep(time.Second)
		p.net.Reset()
		time.Sleep(100 * time.Millisecond)
		talk <- "meanwhile"
		p.expect(c, "meanwhile")
		up := p.seen(holdfast.EventConnected)
		require.Len(p, up, 2)
		assert.LessOrEqual(p, time.Since(up[1].Time), 200*time.Millisecond, "two round trips")
		require.NoError(p, c.Close())
	})
}

func TestPromise09GoAwayReplacesTheLink(t *testing.T) {
	session(t, func(p *scene) {
		p.options.MaxLinkAge = 10 * time.Second
		authorized := 0
		p.start()
		c := p.dial(func(o *holdfast.Options) {
			o.AllowInsecureCredentials = true
			o.Authorize = func(_ context.Context, r *http.Request, _ error) error {
				authorized++
				r.Header.Set("Authorization", fmt.Sprint("Bearer ", authorized))
				return nil
			}
		})
		p.number(c, 350, 100*time.Millisecond, func() {})
		assert.Equal(p, 4, authorized, "one for each link")
		assert.Empty(p, p.seen(holdfast.EventDisconnected))
		assert.Len(p, p.seen(holdfast.EventConnected), 4)
		require.NoError(p, c.Close())
	})
}

func TestPromise09ExpiredSessionIsANewOne(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		p.options.ResumeTTL = 5 * time.Second
		p.start()
		c := dial(func(o *holdfast.Options) { o.Delivery = holdfast.AtLeastOnce })
		p.roundTrip(c, "one")
		p.net.SetDown(errors.New("down"))
		p.network.SetOnline(false)
		time.Sleep(2 * time.Minute)
		require.NoError(p, c.Send(p.Context(), holdfast.Text, []byte("two")))
		p.net.SetDown(nil)
		p.network.SetOnline(true)
		m := p.expect(c, "two")
		assert.EqualValues(p, 2, m.Epoch)
		assert.Len(p, p.seen(holdfast.EventGap), 1)
		require.NoError(p, c.Close())
	})
}

func TestPromise09UnknownIsCountedWhenASessionIsLost(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		c := p.dial(nil)
		p.roundTrip(c, "one")
		p.net.Freeze(true)
		for range 3 {
			require.NoError(p, c.Send(p.Context(), holdfast.Text, []byte("lost")))
		}
		synctest.Wait()
		p.stop()
		p.start()
		p.roundTripAfterLoss(c)
		assert.EqualValues(p, 3, c.Stats().Unknown)
		lost := p.seen(holdfast.EventDropped)
		require.Len(p, lost, 1)
		assert.Equal(p, 3, lost[0].Count)
		err := c.Flush(p.Context())
		var se *holdfast.SendError
		require.ErrorAs(p, err, &se)
		assert.Equal(p, holdfast.MaybeSent, se.Outcome)
		assert.Equal(p, 3, se.Count)
		require.NoError(p, c.Close())
	})
}

// roundTripAfterLoss waits until the link is another one.
func (p *scene) roundTripAfterLoss(c *holdfast.Conn) {
	p.Helper()
	for c.Stats().Connects < 2 {
		time.Sleep(time.Second)
	}
	p.roundTrip(c, "again")
}

func TestSessionRequireRefusesAPlainServer(t *testing.T) {
	bubble(t, func(w *world) {
		_, err := w.tryDial(func(o *holdfast.Options) { o.Session = holdfast.SessionRequire })
		var de *holdfast.DialError
		require.ErrorAs(w, err, &de)
		assert.Equal(w, holdfast.ClassRejected, de.Class)
		assert.Equal(w, holdfast.DecisionStop, de.Decision)
		assert.Contains(w, de.Hint, "Options.Session")
	})
}

func TestSessionIsNeverSilentlyGivenUp(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		c := p.dial(func(o *holdfast.Options) { o.Fallback = nil })
		p.roundTrip(c, "one")
		p.blockBy(func(w http.ResponseWriter, r *http.Request) { // a plain server, for a while
			conn := hijack(w)
			_, _ = io.WriteString(conn, plainAnswer(r))
			swallow(conn)
		})
		p.net.Reset()
		time.Sleep(2500 * time.Millisecond)
		failed := p.seen(holdfast.EventAttemptFailed)
		require.Len(p, failed, 2)
		assert.Contains(p, dialError(p.T, failed[0]).Hint, "spoke before")
		p.blockBy(nil)
		assert.EqualValues(p, 1, p.roundTrip(c, "two").Epoch)
		require.NoError(p, c.Close())
	})
}

func TestPromise09PollingOnlyByItsURL(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		o := p.dialOptions()
		c, err := holdfast.Dial(p.Context(), "http"+p.url[len("ws"):], o)
		require.NoError(p, err)
		p.roundTrip(c, "hello")
		assert.Equal(p, "longpoll", c.Stats().Transport)
		assert.Zero(p, p.opens.Load(), "no WebSocket is tried")
		time.Sleep(10 * time.Minute)
		assert.Zero(p, p.opens.Load())
		assert.Empty(p, p.seen(holdfast.EventFellBack))
		require.NoError(p, c.Close())
	})
}

func TestPromise09LargerThanTheServerTakes(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		p.options.MaxMessageSize = 1000
		p.start()
		c := dial(nil)
		err := c.Send(p.Context(), holdfast.Binary, make([]byte, 1001))
		require.ErrorIs(p, err, holdfast.ErrMessageTooBig)
		require.NoError(p, c.Send(p.Context(), holdfast.Binary, make([]byte, 1000)))
		require.NoError(p, c.Close())
	})
}

func TestPromise09LargeMessagesThroughSmallBuffers(t *testing.T) {
	overBoth(t, func(p *scene, dial func(func(*holdfast.Options)) *holdfast.Conn) {
		p.options.MaxMessageSize = 8 << 20
		p.start()
		c := dial(func(o *holdfast.Options) { o.ReceiveBuffer, o.SendBuffer.MaxBytes = 1, 1 })
		for i := range 3 {
			data := make([]byte, 3<<20)
			data[0], data[len(data)-1] = byte(i), byte(i)
			require.NoError(p, c.Send(p.Context(), holdfast.Binary, data))
			ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
			m, err := c.Receive(ctx)
			cancel()
			require.NoError(p, err)
			require.Equal(p, data, m.Data)
		}
		require.NoError(p, c.Close())
	})
}

func TestAuthorizeThatHangsDoesNotHoldUpClose(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		p.blockBy(blockades["403"])
		release := make(chan struct{})
		var calls atomic.Int64
		c := p.dial(func(o *holdfast.Options) {
			o.AllowInsecureCredentials = true
			o.Authorize = func(context.Context, *http.Request, error) error {
				if calls.Add(1) > 6 {
					<-release // whatever its context says
				}
				return nil
			}
		})
		time.Sleep(5 * time.Minute)
		_ = c.CloseNow()
		close(release)
	})
}

func TestPlainPollAsFallback(t *testing.T) {
	session(t, func(p *scene) {
		l, err := p.net.Listen(p.host())
		require.NoError(p, err)
		sent := make(chan string, 1)
		h := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header.Get("Upgrade") != "":
				http.Error(w, "no", http.StatusForbidden)
			case r.Method == http.MethodPost:
				body, _ := io.ReadAll(r.Body)
				sent <- string(body)
			default:
				select {
				case text := <-sent:
					_, _ = io.WriteString(w, text)
				default:
					w.WriteHeader(http.StatusNoContent)
				}
			}
		})}
		go func() { _ = h.Serve(l) }()
		c := p.dial(func(o *holdfast.Options) {
			o.Fallback = []holdfast.Transport{fallback.PlainPoll(fallback.PlainPollOptions{})}
		})
		p.roundTrip(c, "hello")
		assert.Equal(p, "plainpoll", c.Stats().Transport)
		require.Len(p, p.seen(holdfast.EventFellBack), 1)
		require.NoError(p, c.Close())
		require.NoError(p, h.Close())
	})
}
