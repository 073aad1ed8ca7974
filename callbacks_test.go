package holdfast_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

type request = http.Request

func TestPromise13OnConnectComesBeforeQueuedMessages(t *testing.T) {
	bubble(t, func(w *world) {
		var got []string
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			_ = p.Send(holdfast.Text, []byte("welcome"))
			_ = p.Send(holdfast.Text, []byte("early"))
			for {
				_, data, err := p.Receive()
				if err != nil {
					return
				}
				got = append(got, string(data))
				if string(data) == "queued" && p.N() == 1 {
					p.Drop()
				}
			}
		})
		c := w.dial(func(o *holdfast.Options) {
			o.Background = true
			o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
				m, err := h.Receive(ctx)
				if err != nil {
					return err
				}
				assert.Equal(w, "welcome", string(m.Data))
				return h.Send(ctx, holdfast.Text, []byte(fmt.Sprint("login ", h.Attempt(), " ", h.Response().StatusCode)))
			}
		})
		w.send(c, "queued")
		assert.Equal(w, "early", string(w.receive(c).Data), "what OnConnect does not receive")
		m := w.receive(c)
		assert.Equal(w, "early", string(m.Data))
		assert.Equal(w, uint64(2), m.Epoch)
		synctest.Wait()
		assert.Equal(w, []string{"login 1 101", "queued", "login 1 101"}, got)
		require.NoError(w, c.Close())
	})
}

func TestPromise13OnConnectsErrorIsTheAttempts(t *testing.T) {
	oops := errors.New("oops")
	bubble(t, func(w *world) {
		calls := 0
		c := w.dial(func(o *holdfast.Options) {
			o.OnConnect = func(context.Context, *holdfast.Handshake) error {
				if calls++; calls < 3 {
					return oops
				}
				return nil
			}
		})
		assert.Equal(w, 3, w.server.Accepted())
		failed := w.seen(holdfast.EventAttemptFailed)
		require.Len(w, failed, 2)
		var de *holdfast.DialError
		require.ErrorAs(w, failed[0].Err, &de)
		assert.Equal(w, holdfast.PhaseOnConnect, de.Phase)
		assert.Equal(w, holdfast.ClassCallback, de.Class)
		require.ErrorIs(w, de, oops)
		assert.Equal(w, uint64(1), c.Stats().Epoch)
		require.NoError(w, c.Close())
	})
	bubble(t, func(w *world) {
		_, err := w.tryDial(func(o *holdfast.Options) {
			o.OnConnect = func(context.Context, *holdfast.Handshake) error { return backoff.Permanent(oops) }
			o.Endpoints = []string{"ws://other.test"}
		})
		require.ErrorIs(w, err, oops)
		assert.NotErrorIs(w, err, holdfast.ErrRetriesExhausted)
		assert.Equal(w, 1, w.net.Dials())
	})
	bubble(t, func(w *world) {
		_, err := w.tryDial(func(o *holdfast.Options) {
			o.Authorize = func(context.Context, *request, error) error { return backoff.Permanent(oops) }
		})
		require.ErrorIs(w, err, oops)
		var de *holdfast.DialError
		require.ErrorAs(w, err, &de)
		assert.Equal(w, holdfast.PhaseAuthorize, de.Phase)
		assert.Zero(w, w.server.Requests())
	})
}

func TestPromise13OnConnectIsBounded(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) { p.Freeze(true); <-p.Done() })
		start := time.Now()
		_, err := w.tryDial(func(o *holdfast.Options) {
			o.Retry.MaxRetries = holdfast.NoRetry
			o.OnConnect = func(_ context.Context, h *holdfast.Handshake) error {
				_, err := h.Receive(context.Background())
				return err
			}
		})
		assert.Equal(w, 10*time.Second, time.Since(start))
		require.ErrorIs(w, err, context.DeadlineExceeded)
	})
	bubble(t, func(w *world) { // a write that hangs ends with it
		w.server.OnConnect(func(p *holdfasttest.Peer) { p.Freeze(true); <-p.Done() })
		start := time.Now()
		_, err := w.tryDial(func(o *holdfast.Options) {
			o.HandshakeTimeout = 2 * time.Second
			o.Retry.MaxRetries = holdfast.NoRetry
			o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
				return h.Send(ctx, holdfast.Binary, make([]byte, 1<<20))
			}
		})
		assert.Equal(w, 2*time.Second, time.Since(start))
		require.ErrorIs(w, err, holdfast.ErrRetriesExhausted)
	})
}

func TestPromise13OnConnectLearnsOfTheLinksEnd(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			_ = p.Send(holdfast.Text, []byte("first"))
			_ = p.Close(1008, "no")
		})
		_, err := w.tryDial(func(o *holdfast.Options) {
			o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
				if m, err := h.Receive(ctx); err != nil || string(m.Data) != "first" {
					return fmt.Errorf("before the end: %q %w", m.Data, err)
				}
				_, err := h.Receive(ctx)
				return err
			}
		})
		var ce *holdfast.CloseError
		require.ErrorAs(w, err, &ce)
		assert.Equal(w, holdfast.StatusPolicyViolation, ce.Code)
		assert.Equal(w, 1, w.net.Dials(), "1008 is terminal here too")
	})
}

func TestPromise13FlushInsideOnConnectFails(t *testing.T) {
	bubble(t, func(w *world) {
		conn := make(chan *holdfast.Conn, 1)
		var kept *holdfast.Handshake
		o := w.options()
		o.Background = true
		o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
			c := <-conn
			require.ErrorContains(w, c.Flush(ctx), "inside OnConnect")
			wantSendError(w, c.SendSync(ctx, holdfast.Text, nil), holdfast.NotSent, 1)
			kept = h
			return nil
		}
		c, err := holdfast.Dial(w.Context(), worldURL, o)
		require.NoError(w, err)
		conn <- c
		require.NoError(w, c.WaitConnected(w.Context()))
		require.ErrorContains(w, kept.Send(w.Context(), holdfast.Text, nil), "OnConnect has returned")
		_, err = kept.Receive(w.Context())
		require.ErrorContains(w, err, "OnConnect has returned")
		require.NoError(w, c.Flush(w.Context()))
		require.NoError(w, c.Close())
	})
}

func TestPromise13CloseFromInsideCallbacks(t *testing.T) {
	t.Run("OnEvent", func(t *testing.T) {
		bubble(t, func(w *world) {
			var c *holdfast.Conn
			ready := make(chan struct{})
			o := w.options()
			var last holdfast.EventKind
			o.OnEvent = func(e holdfast.Event) {
				last = e.Kind
				if e.Kind == holdfast.EventConnected {
					<-ready
					require.NoError(w, c.Close())
				}
			}
			var err error
			c, err = holdfast.Dial(w.Context(), worldURL, o)
			require.NoError(w, err)
			close(ready)
			<-c.Done()
			assert.Equal(w, holdfast.EventClosed, last)
		})
	})
	for _, name := range []string{"OnConnect", "Authorize"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				conn, closed := make(chan *holdfast.Conn, 1), make(chan error, 1)
				callback := func() error {
					c := <-conn
					closed <- c.Close()
					return nil
				}
				o := w.options()
				o.Background = true
				if name == "OnConnect" {
					o.OnConnect = func(context.Context, *holdfast.Handshake) error { return callback() }
				} else {
					o.Authorize = func(context.Context, *request, error) error { return callback() }
				}
				c, err := holdfast.Dial(w.Context(), worldURL, o)
				require.NoError(w, err)
				conn <- c
				require.NoError(w, <-closed)
				<-c.Done()
				require.ErrorIs(w, c.Err(), holdfast.ErrClosed)
			})
		})
	}
}

func TestPromise13SlowObserver(t *testing.T) {
	bubble(t, func(w *world) {
		release := make(chan struct{})
		var kinds []holdfast.EventKind
		o := w.options()
		o.Retry.MaxRetries = 2000
		o.OnEvent = func(e holdfast.Event) {
			<-release
			kinds = append(kinds, e.Kind)
		}
		w.server.OnRequest(refuse(503, nil))
		o.Background = true
		c, err := holdfast.Dial(w.Context(), worldURL, o)
		require.NoError(w, err)
		time.Sleep(1000 * time.Second)
		w.server.OnRequest(nil)
		require.NoError(w, c.WaitConnected(w.Context()))
		require.NoError(w, c.Close())
		select {
		case <-c.Done():
			w.Error("Done before the last callback")
		default:
		}
		close(release)
		<-c.Done()
		assert.Len(w, kinds, 1025, "the bound and the one being handled")
		assert.Equal(w, []holdfast.EventKind{holdfast.EventConnected, holdfast.EventClosed}, kinds[1023:])
	})
}

func TestPromise12SecretsStayPut(t *testing.T) {
	const secret = "s3cr3t"
	bubble(t, func(w *world) {
		var log bytes.Buffer
		o := w.options()
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.AllowInsecureCredentials = true
		o.Header = http.Header{"Cookie": {"id=" + secret}}
		o.Authorize = func(_ context.Context, r *request, _ error) error {
			q := r.URL.Query()
			q.Set("token", secret)
			r.URL.RawQuery = q.Encode()
			return nil
		}
		o.Retry.MaxRetries = 2
		seen := 0
		w.server.OnRequest(func(n int, r *request) holdfasttest.Reply {
			assert.Equal(w, secret, r.URL.Query().Get("token"))
			assert.Contains(w, r.Header.Get("Cookie"), secret)
			user, password, _ := r.BasicAuth()
			assert.Equal(w, "user "+secret, user+" "+password)
			seen++
			if n == 1 {
				return holdfasttest.Refuse{Status: 503}
			}
			return holdfasttest.Drop{}
		})
		_, err := holdfast.Dial(w.Context(), "ws://user:"+secret+"@server.test/stream?key="+secret, o)
		require.ErrorIs(w, err, holdfast.ErrRetriesExhausted)
		assert.Equal(w, 3, seen)
		walk(err, func(err error) { assert.NotContains(w, err.Error(), secret) })
		synctest.Wait()
		for _, e := range w.events {
			assert.NotContains(w, e.Endpoint, secret)
			walk(e.Err, func(err error) { assert.NotContains(w, err.Error(), secret) })
		}
		assert.NotContains(w, log.String(), secret)
		assert.Contains(w, log.String(), "attempt failed")
	})
}

// walk visits an error and all that it wraps.
func walk(err error, visit func(error)) {
	if err == nil {
		return
	}
	visit(err)
	switch u := err.(type) {
	case interface{ Unwrap() error }:
		walk(u.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, e := range u.Unwrap() {
			walk(e, visit)
		}
	}
}

func TestPromise12CredentialsNeedTLS(t *testing.T) {
	for _, r := range []struct {
		url    string
		header http.Header
	}{
		{"ws://user:pw@server.test", nil},
		{"ws://server.test", http.Header{"Authorization": {"Bearer x"}}},
		{"ws://server.test", http.Header{"Cookie": {"x"}}},
		{"ws://server.test", http.Header{"Proxy-Authorization": {"x"}}},
	} {
		_, err := holdfast.Dial(t.Context(), r.url, &holdfast.Options{Header: r.header})
		require.ErrorIs(t, err, holdfast.ErrInsecureCredentials)
		var oe *holdfast.OptionError
		require.ErrorAs(t, err, &oe)
		assert.NotContains(t, err.Error(), "pw")
	}
	bubble(t, func(w *world) { // what Authorize sets
		_, err := w.tryDial(func(o *holdfast.Options) {
			o.Authorize = func(_ context.Context, r *request, _ error) error {
				r.Header.Set("Authorization", "Bearer x")
				return nil
			}
		})
		require.ErrorIs(w, err, holdfast.ErrInsecureCredentials)
		assert.Zero(w, w.server.Requests())
	})
}

func TestPromise14EmptyMessagesAreBoundedToo(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			for range 1000 {
				if p.Send(holdfast.Binary, nil) != nil {
					return
				}
			}
			_, _, _ = p.Receive()
		})
		c := w.dial(func(o *holdfast.Options) { o.ReceiveBuffer = 6400 })
		synctest.Wait()
		assert.Equal(w, 100, c.Stats().ReceiveQueued)
		for range 1000 {
			w.receive(c)
		}
		require.NoError(w, c.Close())
	})
}

func TestDecideOverridesTheTables(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(func(n int, _ *request) holdfasttest.Reply {
			if n == 1 {
				return holdfasttest.Refuse{Status: 404}
			}
			return nil
		})
		w.server.OnConnect(func(p *holdfasttest.Peer) { _ = p.Close(4444, "stop") })
		c := w.dial(func(o *holdfast.Options) {
			o.Retry.Decide = func(err error, d holdfast.Decision) holdfast.Decision {
				var ce *holdfast.CloseError
				if errors.As(err, &ce) && ce.Code == 4444 {
					return holdfast.DecisionStop
				}
				assert.Equal(w, holdfast.DecisionStop, d)
				return holdfast.DecisionRetry
			}
		})
		<-c.Done()
		assert.Equal(w, 2, w.net.Dials())
		assert.True(w, strings.Contains(c.Err().Error(), "4444"))
	})
}

func TestPromise04ACloseCodeThenAStatusIsOneChance(t *testing.T) {
	run := func(w *world, renews func(last error) bool) *holdfast.Conn {
		w.server.OnRequest(func(_ int, r *request) holdfasttest.Reply {
			if w.server.Accepted() > 0 && r.Header.Get("X-Token") != "new" {
				return holdfasttest.Refuse{Status: 401}
			}
			return nil
		})
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			if p.N() == 1 {
				_ = p.Close(3000, "expired")
			}
			_, _, _ = p.Receive()
		})
		return w.dial(func(o *holdfast.Options) {
			o.Authorize = func(_ context.Context, r *request, last error) error {
				if renews(last) {
					r.Header.Set("X-Token", "new")
				}
				return nil
			}
		})
	}
	bubble(t, func(w *world) {
		c := run(w, func(last error) bool {
			var ce *holdfast.CloseError
			return errors.As(last, &ce) && ce.Code == holdfast.StatusUnauthorized
		})
		require.NoError(w, w.server.WaitAccepted(w.Context(), 2))
		synctest.Wait()
		assert.Equal(w, holdfast.StateConnected, c.State())
		require.NoError(w, c.Close())
	})
	bubble(t, func(w *world) {
		c := run(w, func(error) bool { return false })
		<-c.Done()
		var de *holdfast.DialError
		require.ErrorAs(w, c.Err(), &de)
		assert.Contains(w, de.Hint, "Authorize was asked to renew")
		assert.Equal(w, holdfast.DecisionStop, de.Decision)
	})
}

func TestNilContextIsAnError(t *testing.T) {
	bubble(t, func(w *world) {
		var none context.Context
		c := w.dial(func(o *holdfast.Options) {
			o.OnConnect = func(_ context.Context, h *holdfast.Handshake) error {
				_, err := h.Receive(none)
				require.ErrorContains(w, err, "ctx: is nil")
				require.ErrorContains(w, h.Send(none, holdfast.Text, nil), "ctx: is nil")
				return nil
			}
		})
		_, receive := c.Receive(none)
		_, appended := c.ReceiveAppend(none, nil)
		for _, err := range []error{
			c.Send(none, holdfast.Text, nil), c.SendSync(none, holdfast.Text, nil), c.Flush(none), receive, appended,
			c.CloseWith(none, 1000, ""), c.WaitConnected(none),
		} {
			var oe *holdfast.OptionError
			require.ErrorAs(w, err, &oe)
			assert.Equal(w, "ctx", oe.Field)
		}
		for _, err := range c.Messages(none) {
			require.ErrorContains(w, err, "ctx: is nil")
		}
		require.NoError(w, c.Close())
	})
}

func TestPromise04ACloseCodeBeatsAWriteInOnConnect(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			_, _, _ = p.Receive()
			_ = p.SendClose(1008, "no")
			<-p.Done() // it reads no more
		})
		_, err := w.tryDial(func(o *holdfast.Options) {
			o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
				for {
					if err := h.Send(ctx, holdfast.Binary, make([]byte, 20000)); err != nil {
						return err
					}
				}
			}
		})
		var ce *holdfast.CloseError
		require.ErrorAs(w, err, &ce)
		assert.Equal(w, holdfast.StatusPolicyViolation, ce.Code)
		assert.Equal(w, 1, w.net.Dials())
	})
}
