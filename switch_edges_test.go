package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/internal/verdict"
	proto "github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/server"
)

// startWith is start with something of the test's own between client and server.
func (p *scene) startWith(front func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	p.Helper()
	l, err := p.net.Listen(p.host())
	require.NoError(p, err)
	s := server.New(func(ctx context.Context, s *server.Session) error { return p.echo(ctx, s) }, p.options)
	h := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		front(w, r, s)
	})}
	p.mu.Lock()
	p.server, p.http = s, h
	p.mu.Unlock()
	go func() { _ = h.Serve(l) }()
}

func (p *scene) blocked() bool {
	return verdict.Process().Blocked(verdict.Key{Origin: "ws://" + p.host()}, time.Now())
}

// servePlain answers plain polls: what was posted is what comes.
func servePlain() http.HandlerFunc {
	sent := make(chan string, 100)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			sent <- string(body)
			return
		}
		select {
		case text := <-sent:
			_, _ = io.WriteString(w, text)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

func plainPolling(o *holdfast.Options) {
	o.Fallback = []holdfast.Transport{fallback.PlainPoll(fallback.PlainPollOptions{})}
}

// A WebSocket that is merely slow is taken into use beside plain polling, and not
// dialled for again: that race it would lose for ever.
func TestPromise10ASlowPlainWebSocketTakesOver(t *testing.T) {
	session(t, func(p *scene) {
		poll := servePlain()
		p.startWith(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			if r.Header.Get("Upgrade") == "" {
				poll(w, r)
				return
			}
			p.opens.Add(1)
			time.Sleep(2 * time.Second)
			conn := hijack(w)
			_, _ = io.WriteString(conn, plainAnswer(r))
			swallow(conn)
		})
		c := p.dial(plainPolling)
		require.Equal(p, "plainpoll", c.Stats().Transport)
		time.Sleep(20 * time.Second)
		assert.Equal(p, "websocket", c.Stats().Transport)
		assert.EqualValues(p, 2, c.Stats().Epoch)
		assert.EqualValues(p, 1, p.opens.Load())
		assert.Len(p, p.seen(holdfast.EventDisconnected), 1)
		require.NoError(p, c.CloseNow())
	})
}

// A server that has sessions over WebSocket alone.
func TestPromise10FromPlainPollingToASession(t *testing.T) {
	for name, slow := range map[string]bool{"probe": false, "race": true} {
		t.Run(name, func(t *testing.T) {
			session(t, func(p *scene) {
				poll := servePlain()
				var block atomic.Bool
				block.Store(!slow)
				p.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					switch {
					case r.Header.Get("Upgrade") == "":
						poll(w, r)
					case block.Load():
						http.Error(w, "no", http.StatusForbidden)
					default:
						if slow {
							time.Sleep(time.Second)
						}
						next.ServeHTTP(w, r)
					}
				})
				c := p.dial(plainPolling)
				require.Equal(p, "plainpoll", c.Stats().Transport)
				block.Store(false)
				time.Sleep(10 * time.Second)
				m := p.roundTrip(c, "hello")
				assert.Equal(p, "websocket", c.Stats().Transport)
				assert.EqualValues(p, 2, m.Epoch)
				assert.EqualValues(p, 2, c.Stats().Epoch)
				assert.Len(p, p.seen(holdfast.EventGap), 1)
				require.NoError(p, c.Close())
			})
		})
	}
}

// Close sends what was accepted also while WebSocket is still being tried, though
// each request over polling runs code of the user's.
func TestPromise01CloseSendsAllWhileWebSocketIsTried(t *testing.T) {
	session(t, func(p *scene) {
		var got atomic.Int64
		p.echo = func(ctx context.Context, s *server.Session) error {
			for {
				if _, err := s.Receive(ctx); err != nil {
					return err
				}
				got.Add(1)
			}
		}
		p.net.SetLatency(20 * time.Millisecond)
		p.start()
		p.blockBy(blockades["no answer"])
		c := p.dial(func(o *holdfast.Options) {
			o.AllowInsecureCredentials = true
			o.Authorize = func(_ context.Context, r *http.Request, _ error) error {
				r.Header.Set("Authorization", "Bearer x")
				return nil
			}
		})
		for range 100 {
			require.NoError(p, c.Send(p.Context(), holdfast.Text, []byte("x")))
		}
		require.NoError(p, c.Close())
		assert.EqualValues(p, 100, got.Load())
	})
}

// The same when the server closes in that time.
func TestPromise01ServersCloseIsAnsweredWhileWebSocketIsTried(t *testing.T) {
	session(t, func(p *scene) {
		ended := make(chan error, 1)
		p.echo = func(ctx context.Context, s *server.Session) error {
			if _, err := s.Receive(ctx); err != nil {
				return err
			}
			ended <- s.CloseWith(ctx, 4001, "enough")
			return nil
		}
		p.net.SetLatency(20 * time.Millisecond)
		p.start()
		p.blockBy(blockades["no answer"])
		c := p.dial(func(o *holdfast.Options) {
			o.Authorize = func(context.Context, *http.Request, error) error { return nil }
		})
		require.NoError(p, c.Send(p.Context(), holdfast.Text, []byte("x")))
		select {
		case err := <-ended:
			require.NoError(p, err)
		case <-time.After(3 * time.Second):
			require.Fail(p, "the close is not answered")
		}
		_ = c.CloseNow()
	})
}

// WebSocket and polls that land on different servers, which answer at the same
// moment: the one is not attached to the other's session.
func TestPromise09AWebSocketOfAnotherServerIsNotAttached(t *testing.T) {
	for range 50 {
		session(t, func(p *scene) {
			other := server.New(func(ctx context.Context, s *server.Session) error { return p.echo(ctx, s) }, p.options)
			p.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Header.Get("Upgrade") != "" {
					time.Sleep(400 * time.Millisecond)
					next = other
				} else if r.Header.Get("Holdfast-Op") == "open" {
					time.Sleep(100 * time.Millisecond)
				}
				next.ServeHTTP(w, r)
			})
			c := p.dial(nil)
			over := c.Stats().Transport
			for i := range 20 {
				m := p.roundTrip(c, fmt.Sprint(i))
				require.EqualValues(p, 1, m.Epoch)
				time.Sleep(time.Second)
			}
			assert.Equal(p, over, c.Stats().Transport)
			assert.Empty(p, p.seen(holdfast.EventDisconnected))
			require.NoError(p, c.Close())
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = other.Shutdown(ctx)
		})
	}
}

// A link that is given up the moment it was made, for a change of the network,
// loses nothing that came by it: its session goes on.
func TestPromise09AnAttemptThatIsGivenUpLosesNothing(t *testing.T) {
	session(t, func(p *scene) {
		p.echo = func(ctx context.Context, s *server.Session) error {
			for i := range 10 {
				if err := s.Send(ctx, holdfast.Text, fmt.Append(nil, i)); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		}
		p.start()
		network := &slowNetwork{Network: p.network}
		runs := 0
		c := p.dial(func(o *holdfast.Options) {
			o.Background = true
			o.Network = network
			o.OnConnect = func(_ context.Context, h *holdfast.Handshake) error {
				if runs++; runs == 1 {
					network.slow.Store(true)
					network.SetOnline(false)
				}
				time.Sleep(10 * time.Millisecond)
				return nil
			}
		})
		time.Sleep(3 * time.Second)
		network.slow.Store(false)
		network.SetOnline(true)
		first := p.expect(c, "0")
		for i := 1; i < 10; i++ {
			require.Equal(p, first.Epoch, p.expect(c, fmt.Sprint(i)).Epoch)
		}
		require.NoError(p, c.Close())
	})
}

// What has nothing to do with WebSocket is no strike against it.
func TestPromise10NoStrikes(t *testing.T) {
	// check dials, and provokes two failed probes.
	check := func(t *testing.T, change func(p *scene, o *holdfast.Options), act func(p *scene)) {
		session(t, func(p *scene) {
			p.start()
			p.blockBy(blockades["no answer"])
			c := p.dial(func(o *holdfast.Options) {
				if change != nil {
					change(p, o)
				}
			})
			require.Equal(p, "longpoll", c.Stats().Transport)
			time.Sleep(11 * time.Second) // the first strike: the race's WebSocket
			act(p)
			before := len(p.seen(holdfast.EventAttemptFailed))
			time.Sleep(50 * time.Second)
			assert.Greater(p, len(p.seen(holdfast.EventAttemptFailed)), before, "a probe has failed")
			assert.False(p, p.blocked())
			_ = c.CloseNow()
		})
	}
	t.Run("Authorize fails", func(t *testing.T) {
		var fail atomic.Bool
		check(t, func(p *scene, o *holdfast.Options) {
			o.Authorize = func(_ context.Context, r *http.Request, _ error) error {
				if r.Method == http.MethodGet && fail.Load() {
					return errors.New("no token just now")
				}
				return nil
			}
		}, func(*scene) { fail.Store(true) })
	})
	t.Run("the network is down", func(t *testing.T) {
		check(t, func(p *scene, o *holdfast.Options) { o.Keepalive.Interval = -1 },
			func(p *scene) { p.net.SetDown(syscall.ENETUNREACH) })
	})
	t.Run("the server refuses the session", func(t *testing.T) {
		session(t, func(p *scene) {
			other := server.New(func(ctx context.Context, s *server.Session) error { return p.echo(ctx, s) }, p.options)
			p.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Header.Get("Upgrade") != "" {
					p.opens.Add(1)
					if p.opens.Load() == 1 {
						http.Error(w, "no", http.StatusForbidden)
						return
					}
					next = other
				}
				next.ServeHTTP(w, r)
			})
			c := p.dial(nil)
			time.Sleep(time.Minute)
			require.NotEmpty(p, p.seen(holdfast.EventAttemptFailed))
			assert.False(p, p.blocked(), "WebSocket works, to another server")
			require.NoError(p, c.Close())
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = other.Shutdown(ctx)
		})
	})
}

// WebSocket links that the server itself closes, in good order, did not die.
func TestPromise10AServersCloseIsNoDeath(t *testing.T) {
	session(t, func(p *scene) {
		welcome := proto.Append(nil, proto.Frame{Type: proto.Welcome, Payload: proto.WelcomePayload{SID: "a.b", RecvNext: 1, MaxMessage: 1000, ResumeTTL: time.Minute}.Append(nil)})
		p.startWith(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			conn := switchProtocols(w, r)
			_, _ = conn.Write(append([]byte{0x82, byte(len(welcome))}, welcome...))
			time.Sleep(2 * time.Second)
			_, _ = conn.Write([]byte{0x88, 2, 1001 >> 8, 1001 & 0xff})
			swallow(conn)
		})
		c := p.dial(func(o *holdfast.Options) { o.Retry.MaxRetries = holdfast.Unlimited })
		time.Sleep(15 * time.Second)
		require.Greater(p, len(p.seen(holdfast.EventDisconnected)), 3)
		assert.False(p, p.blocked())
		_ = c.CloseNow()
		time.Sleep(2 * time.Second)
	})
}

// A 101 without the protocol comes while the fallback is attached. Run with -race.
func TestPromise09ALatePlain101IsNotTaken(t *testing.T) {
	for _, delay := range []time.Duration{300 * time.Millisecond, 500 * time.Millisecond} {
		for range 10 {
			session(t, func(p *scene) {
				p.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if r.Header.Get("Upgrade") == "" {
						next.ServeHTTP(w, r)
						return
					}
					time.Sleep(delay)
					conn := hijack(w)
					_, _ = io.WriteString(conn, plainAnswer(r))
					swallow(conn)
				})
				c := p.dial(nil)
				if c.Stats().Transport == "longpoll" {
					time.Sleep(4 * time.Second)
					assert.Equal(p, "longpoll", c.Stats().Transport)
					assert.EqualValues(p, 1, p.roundTrip(c, "hello").Epoch)
					assert.Empty(p, p.seen(holdfast.EventDisconnected))
				}
				_ = c.CloseNow()
			})
		}
	}
}

// appendTo adds a frame to the answer of a poll.
func appendTo(w http.ResponseWriter, r *http.Request, next http.Handler, f proto.Frame) {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	for key, values := range rec.Header() {
		w.Header()[key] = values
	}
	body := rec.Body.Bytes()
	if rec.Code == http.StatusOK {
		body = proto.Append(body, f)
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}

// Polls that the server wants replaced, while a WebSocket is tried that never
// answers.
func TestPromise09GoAwayWhileWebSocketIsTried(t *testing.T) {
	session(t, func(p *scene) {
		var polls, opens atomic.Int64
		var refuse atomic.Bool
		p.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch r.Header.Get("Holdfast-Op") {
			case "":
				<-r.Context().Done()
				return
			case "open":
				if opens.Add(1); refuse.Load() {
					http.Error(w, "no", http.StatusServiceUnavailable)
					return
				}
			case "poll":
				if n := polls.Add(1); n == 2 || n == 20 {
					appendTo(w, r, next, proto.Frame{Type: proto.GoAway, Payload: []byte{1}})
					return
				}
			}
			next.ServeHTTP(w, r)
		})
		c := p.dial(nil)
		require.Equal(p, "longpoll", c.Stats().Transport)
		p.roundTrip(c, "one")
		p.roundTrip(c, "two")
		time.Sleep(30 * time.Second)
		assert.EqualValues(p, 2, opens.Load())
		assert.Len(p, p.seen(holdfast.EventConnected), 2)
		assert.Empty(p, p.seen(holdfast.EventDisconnected))

		p.roundTrip(c, "three")
		refuse.Store(true)
		polls.Store(18)
		p.roundTrip(c, "four")
		p.roundTrip(c, "five")
		p.roundTrip(c, "six")
		p.roundTrip(c, "seven")
		time.Sleep(15 * time.Second) // a probe may be under way
		byPolling := 0
		for _, e := range p.seen(holdfast.EventAttemptFailed) {
			assert.Equal(p, e.Transport, dialError(p.T, e).Transport)
			if e.Transport == "longpoll" {
				byPolling++
			}
		}
		assert.Equal(p, 1, byPolling)
		_ = c.CloseNow()
	})
}

// Who uses a session's secret elsewhere is not fought with.
func TestPromise09UsedElsewhereEnds(t *testing.T) {
	session(t, func(p *scene) {
		var stolen atomic.Bool
		p.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if op := r.Header.Get("Holdfast-Op"); stolen.Load() && (op == "poll" || op == "send") {
				body := proto.Append(nil, proto.Frame{Type: proto.Reject, Payload: proto.RejectPayload{Status: 409, Attachment: 1000}.Append(nil)})
				w.Header().Set("Holdfast-Version", "1")
				w.Header().Set("Holdfast-Attachment", "1000")
				w.Header().Set("Content-Type", proto.MediaType)
				w.WriteHeader(http.StatusConflict)
				_, _ = w.Write(body)
				return
			}
			if r.Header.Get("Upgrade") != "" {
				http.Error(w, "no", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
		c := p.dial(nil)
		p.roundTrip(c, "one")
		time.Sleep(time.Minute) // it is stable
		stolen.Store(true)
		time.Sleep(30 * time.Second)
		require.Equal(p, holdfast.StateClosed, c.State())
		var ce *holdfast.CloseError
		require.ErrorAs(p, c.Err(), &ce)
		assert.Equal(p, holdfast.StatusPolicyViolation, ce.Code)
		_ = c.CloseNow()
	})
}

// The context of CloseWith bounds it also while the server's close is answered.
func TestPromise01CloseWithIsBoundedWhileTheServerCloses(t *testing.T) {
	session(t, func(p *scene) {
		p.echo = func(ctx context.Context, s *server.Session) error { _, err := s.Receive(ctx); return err }
		p.start()
		p.net.SetLatency(50 * time.Millisecond)
		c := p.dial(func(o *holdfast.Options) { o.Fallback, o.CloseTimeout = nil, 20*time.Second })
		for c.Send(p.Context(), holdfast.Text, []byte("x")) == nil { // until the server's close is there
			time.Sleep(time.Millisecond)
		}
		p.net.Freeze(true)
		began := time.Now()
		ctx, cancel := context.WithTimeout(p.Context(), time.Second)
		defer cancel()
		_ = c.CloseWith(ctx, 1000, "")
		assert.LessOrEqual(p, time.Since(began), time.Second)
	})
}

// One link's writer has ended before the next one's begins, though it is in code
// of the user's that takes its time.
func TestPromise08OneWriterAtATime(t *testing.T) {
	session(t, func(p *scene) {
		var mu sync.Mutex
		var got []string
		posts := 0
		p.startWith(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			if r.Method == http.MethodPost {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				got = append(got, string(body))
				mu.Unlock()
				time.Sleep(3 * time.Second)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
		o := p.dialOptions()
		plainPolling(o)
		o.AllowInsecureCredentials = true
		o.Authorize = func(ctx context.Context, r *http.Request, _ error) error {
			if r.Method != http.MethodPost {
				return nil
			}
			if posts++; posts == 1 {
				<-ctx.Done()
				time.Sleep(time.Second) // it puts its things in order
				return ctx.Err()
			}
			return nil
		}
		c, err := holdfast.Dial(p.Context(), "http"+p.url[len("ws"):], o)
		require.NoError(p, err)
		for _, text := range []string{"a", "b", "c"} {
			require.NoError(p, c.Send(p.Context(), holdfast.Text, []byte(text)))
		}
		time.Sleep(time.Second)
		c.Reconnect()
		time.Sleep(30 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(p, []string{"a", "b", "c"}, got)
		assert.Len(p, p.seen(holdfast.EventDisconnected), 1, "Reconnect's alone")
		require.NoError(p, c.Close())
	})
}

// A Conn that polls costs few goroutines, and those end with it.
func TestPromise12AConnThatPollsIsCheap(t *testing.T) {
	session(t, func(p *scene) {
		p.start()
		p.blockBy(blockades["403"])
		before := runtime.NumGoroutine()
		const n = 20
		var conns []*holdfast.Conn
		for range n {
			c := p.dial(func(o *holdfast.Options) { o.OnEvent = nil })
			p.roundTrip(c, "hello")
			conns = append(conns, c)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		own := 0
		for _, stack := range strings.Split(stacks(), "\n\n") {
			if strings.Contains(stack, "holdfast.(*supervisor).run(") || strings.Contains(stack, "/holdfast.(*Conn).attach.") {
				own++
			}
		}
		assert.Equal(p, 2*n, own, "a supervisor and a reader each")
		p.Logf("%d goroutines for each Conn, both ends, net/http's connections included", (runtime.NumGoroutine()-before)/n)
		for _, c := range conns {
			require.NoError(p, c.Close())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.LessOrEqual(p, runtime.NumGoroutine(), before+n)
	})
}

func stacks() string {
	buf := make([]byte, 8<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// Of several fallbacks that fail, each one's wish to be left alone counts.
func TestPromise03RetryAfterOfTheFirstFallback(t *testing.T) {
	session(t, func(p *scene) {
		var opens atomic.Int64
		p.startWith(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			switch {
			case r.Header.Get("Upgrade") != "":
				http.Error(w, "no", http.StatusBadGateway)
			case r.Header.Get("Holdfast-Op") != "":
				opens.Add(1)
				w.Header().Set("Retry-After", "60")
				w.Header().Set("Holdfast-Version", "1")
				http.Error(w, "full", http.StatusServiceUnavailable)
			default:
				http.Error(w, "no", http.StatusInternalServerError)
			}
		})
		o := p.dialOptions()
		o.Background = true
		o.Fallback = []holdfast.Transport{fallback.LongPoll(nil), fallback.PlainPoll(fallback.PlainPollOptions{})}
		c, err := holdfast.Dial(p.Context(), p.url, o)
		require.NoError(p, err)
		time.Sleep(59 * time.Second)
		assert.EqualValues(p, 1, opens.Load())
		failed := p.seen(holdfast.EventAttemptFailed)
		require.Len(p, failed, 1)
		assert.Equal(p, time.Minute, dialError(p.T, failed[0]).RetryAfter)
		time.Sleep(2 * time.Second)
		assert.EqualValues(p, 2, opens.Load())
		require.NoError(p, c.CloseNow())
	})
}

// A WebSocket that has been opened is proof of a way, whatever the network says.
func TestPromise05AnOpenWebSocketIsProofOfAWay(t *testing.T) {
	session(t, func(p *scene) {
		poll := servePlain()
		var block atomic.Bool
		block.Store(true)
		p.startWith(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch {
			case r.Header.Get("Upgrade") == "":
				poll(w, r)
			case block.Load():
				http.Error(w, "no", http.StatusForbidden)
			default:
				next.ServeHTTP(w, r)
			}
		})
		p.network.SetOnline(false)
		c := p.dial(plainPolling)
		require.Equal(p, "plainpoll", c.Stats().Transport)
		block.Store(false)
		time.Sleep(10 * time.Second)
		assert.Equal(p, "websocket", c.Stats().Transport)
		p.network.Signal()
		time.Sleep(time.Second)
		assert.Equal(p, "websocket", c.Stats().Transport)
		assert.Len(p, p.seen(holdfast.EventOffline), 1)
		require.NoError(p, c.Close())
	})
}
