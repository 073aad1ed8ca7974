package holdfast_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// silentNetwork goes offline without saying so.
type silentNetwork struct {
	*holdfasttest.Network
	offline atomic.Bool
}

func (n *silentNetwork) Check(context.Context, string) holdfast.Reachability {
	if n.offline.Load() {
		return holdfast.Unreachable
	}
	return holdfast.ReachUnknown
}

func TestPromise05ReconnectForcesOneDialAlone(t *testing.T) {
	bubble(t, func(w *world) {
		n := &silentNetwork{Network: w.network}
		c := w.dial(func(o *holdfast.Options) { o.Network = n })
		c.Reconnect()
		require.NoError(w, w.server.WaitAccepted(w.Context(), 2))
		w.server.Close()
		synctest.Wait()
		n.offline.Store(true)
		time.Sleep(10 * time.Second)
		assert.Equal(w, holdfast.StateOffline, c.State())
		assert.Equal(w, 2, w.net.Dials())
		require.NoError(w, c.Close())
	})
	bubble(t, func(w *world) { // during an attempt too
		n := &silentNetwork{Network: w.network}
		w.net.Blackhole("server.test:80", true)
		c := w.dial(func(o *holdfast.Options) { o.Network = n; o.Background = true })
		synctest.Wait()
		n.offline.Store(true)
		w.net.Blackhole("server.test:80", false)
		c.Reconnect()
		require.NoError(w, c.WaitConnected(w.Context()))
		require.NoError(w, c.Close())
	})
}

func TestPromise05AForcedDialIsNotCalledOff(t *testing.T) {
	bubble(t, func(w *world) {
		w.net.SetLatency(100 * time.Millisecond)
		w.network.SetOnline(false)
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		synctest.Wait()
		c.Reconnect()
		synctest.Wait()
		w.network.Signal() // still offline
		time.Sleep(time.Second)
		assert.Equal(w, holdfast.StateConnected, c.State())
		require.NoError(w, c.Close())
	})
}

func TestPromise05OfflineEndsAnAttempt(t *testing.T) {
	bubble(t, func(w *world) {
		w.net.Blackhole("server.test:80", true)
		c := w.dial(func(o *holdfast.Options) { o.Background = true; o.Retry.MaxRetries = holdfast.NoRetry })
		synctest.Wait()
		assert.Equal(w, holdfast.StateConnecting, c.State())
		w.network.SetOnline(false)
		synctest.Wait()
		assert.Equal(w, holdfast.StateOffline, c.State())
		assert.Zero(w, c.Stats().ConsecutiveFailures)
		require.NoError(w, c.Close())
	})
}

func TestPromise05ALinkResetWhileOfflineCostsNothing(t *testing.T) {
	bubble(t, func(w *world) {
		n := &silentNetwork{Network: w.network}
		c := w.dial(func(o *holdfast.Options) { o.Network = n; o.Retry.MaxRetries = holdfast.NoRetry })
		n.offline.Store(true)
		w.server.ResetAll()
		synctest.Wait()
		assert.Equal(w, holdfast.StateOffline, c.State())
		assert.Zero(w, c.Stats().ConsecutiveFailures)
		require.NoError(w, c.Close())
	})
}

func TestPromise05AChangeOfTheNetworkEndsSomeWaits(t *testing.T) {
	html := func(int, *http.Request) holdfasttest.Reply {
		return holdfasttest.Refuse{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}}
	}
	for name, r := range map[string]struct {
		reply func(int, *http.Request) holdfasttest.Reply
		dials int
	}{"a captive portal": {html, 2}, "a server that is down": {refuse(503, nil), 1}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.server.OnRequest(r.reply)
				c := w.dial(func(o *holdfast.Options) {
					o.Background = true
					o.Retry.New = func() holdfast.BackOff { return constant(time.Hour) }
				})
				synctest.Wait()
				w.network.Signal()
				synctest.Wait()
				assert.Equal(w, r.dials, w.net.Dials())
				require.NoError(w, c.Close())
			})
		})
	}
}

func TestPromise03RetryAfterOutlivesBeingOffline(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(refuse(503, http.Header{"Retry-After": {"60"}}))
		start := time.Now()
		c := w.dial(func(o *holdfast.Options) { o.Background = true })
		time.Sleep(time.Second)
		w.network.SetOnline(false)
		time.Sleep(time.Second)
		w.network.SetOnline(true)
		synctest.Wait()
		assert.Equal(w, holdfast.StateWaiting, c.State())
		require.NoError(w, w.server.WaitRequests(w.Context(), 2))
		assert.Equal(w, time.Minute, time.Since(start))
		require.NoError(w, c.Close())
	})
}

func TestPromise02AStableLinkStartsTheCountAnew(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
			if n%2 == 1 {
				return holdfasttest.Refuse{Status: 503}
			}
			return holdfasttest.Accept{}
		})
		// A failure before, the loss, and a failure after it are three.
		c := w.dial(func(o *holdfast.Options) { o.Retry.MaxRetries = 2 })
		time.Sleep(10 * time.Second)
		w.server.DropAll()
		require.NoError(w, w.server.WaitAccepted(w.Context(), 2))
		synctest.Wait()
		assert.Equal(w, uint64(2), c.Stats().ConsecutiveFailures)
		w.server.DropAll() // not stable
		<-c.Done()
		require.ErrorIs(w, c.Err(), holdfast.ErrRetriesExhausted)
		assert.Equal(w, 4, w.net.Dials())
	})
}

func TestPromise04AuthorizeIsAskedAgainAfterEachStableLink(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnRequest(func(n int, _ *http.Request) holdfasttest.Reply {
			if n%2 == 1 {
				return holdfasttest.Refuse{Status: 401}
			}
			return holdfasttest.Accept{}
		})
		c := w.dial(func(o *holdfast.Options) {
			o.Authorize = func(context.Context, *request, error) error { return nil }
		})
		for n := 2; n < 5; n++ {
			time.Sleep(10 * time.Second)
			w.server.DropAll()
			require.NoError(w, w.server.WaitAccepted(w.Context(), n))
		}
		time.Sleep(9 * time.Second)
		w.server.DropAll() // not stable, so 401 is the end
		<-c.Done()
		var de *holdfast.DialError
		require.ErrorAs(w, c.Err(), &de)
		assert.Equal(w, 401, de.StatusCode)
		assert.Equal(w, holdfast.DecisionStop, de.Decision)
		assert.Equal(w, 9, w.net.Dials())
	})
}

func TestPromise13WhatAFailedOnConnectLeftIsForgotten(t *testing.T) {
	bubble(t, func(w *world) {
		w.server.OnConnect(func(p *holdfasttest.Peer) {
			_ = p.Send(holdfast.Text, []byte{byte('0' + p.N())})
			_, _, _ = p.Receive()
		})
		calls := 0
		c := w.dial(func(o *holdfast.Options) {
			o.OnConnect = func(context.Context, *holdfast.Handshake) error {
				time.Sleep(time.Second)
				if calls++; calls == 1 {
					return errors.New("not yet")
				}
				return nil
			}
		})
		assert.Equal(w, "2", string(w.receive(c).Data))
		require.NoError(w, c.Close())
	})
}

func TestCookiesAreKeptBetweenLinks(t *testing.T) {
	for name, r := range map[string]struct {
		jar  http.CookieJar
		want string
	}{"by default": {nil, "node=a"}, "with NoCookies": {holdfast.NoCookies, ""}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				got := make(chan string, 2)
				w.server.OnRequest(func(_ int, r *http.Request) holdfasttest.Reply {
					got <- r.Header.Get("Cookie")
					return holdfasttest.Accept{Header: http.Header{"Set-Cookie": {"node=a; Path=/"}}}
				})
				c := w.dial(func(o *holdfast.Options) { o.Jar = r.jar })
				c.Reconnect()
				assert.Equal(w, "", <-got)
				assert.Equal(w, r.want, <-got)
				require.NoError(w, c.Close())
			})
		})
	}
}

func TestPromise01WaitConnectedAfterReconnectMeansTheNewLink(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(nil)
		for n := 2; n < 20; n++ {
			c.Reconnect()
			require.NoError(w, c.WaitConnected(w.Context()))
			assert.Equal(w, n, w.server.Accepted())
			assert.Equal(w, uint64(n), c.Stats().Epoch)
		}
		require.NoError(w, c.Close())
	})
}

func TestPromise07UnacknowledgedIsProvenNowAndThen(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Keepalive = holdfast.Keepalive{} })
		for range 600 { // the link is never silent
			w.send(c, "x")
			w.receive(c)
			time.Sleep(time.Second)
		}
		assert.LessOrEqual(w, c.Stats().Unacknowledged, 26)
		require.NoError(w, c.Close())
	})
}

func TestNetworkThatClosesItsChannel(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Network = closedNetwork{w.network} })
		synctest.Wait() // a loop over the closed channel would never let it return
		require.NoError(w, c.Close())
	})
}

type closedNetwork struct{ *holdfasttest.Network }

func (closedNetwork) Changes(context.Context) <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}
