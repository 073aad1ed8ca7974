//go:build linux

package integration

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// pair are two servers behind HAProxy.
type pair struct {
	ledger *ledger
	a, b   *upstream
	front  *box
}

func startPair(t *testing.T, sticky bool) *pair {
	t.Helper()
	p := &pair{ledger: &ledger{}}
	p.a, p.b = startUpstream(t, p.ledger, nil), startUpstream(t, p.ledger, nil)
	p.front = haproxy(t, map[string]any{"A": p.a.addr, "B": p.b.addr, "Sticky": sticky})
	return p
}

// inUse tells the server that a client's session lives on from the other one,
// which must not have been asked for anything.
func (p *pair) inUse(t *testing.T) (used, other *upstream) {
	t.Helper()
	any := func(request) bool { return true }
	used, other = p.a, p.b
	if len(used.seen(any)) == 0 {
		used, other = p.b, p.a
	}
	require.NotEmpty(t, used.seen(any))
	require.Empty(t, other.seen(any), "requests of one session reached both servers")
	return used, other
}

func TestHAProxySticky(t *testing.T) {
	for _, test := range []struct{ transport, scheme string }{{"websocket", "ws"}, {"longpoll", "http"}} {
		t.Run(test.transport, func(t *testing.T) {
			p := startPair(t, true)
			c := dial(t, test.scheme+"://"+p.front.addr+"/stream", nil)
			assert.Equal(t, test.transport, c.Stats().Transport)
			assert.Empty(t, c.events.of(holdfast.EventFellBack))
			c.measure("HAProxy, two servers, cookie ("+test.scheme+"://)", "none")

			c.exchange(p.ledger, p.front.restart)
			c.resumed()
			assert.Equal(t, test.transport, c.Stats().Transport)
			used, _ := p.inUse(t)

			c.loseServer(p, used)
			assert.Equal(t, test.transport, c.Stats().Transport)
		})
	}
}

// loseServer kills the server of the session while messages are on their way. A
// new session must begin at the other one, and nothing may arrive twice.
func (c *client) loseServer(p *pair, used *upstream) {
	t := c.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const onTheirWay = 100
	next := messages
	for range onTheirWay {
		require.NoError(t, c.Send(ctx, holdfast.Text, format(c.name, next)))
		next++
	}
	used.kill()
	c.events.await(t, "a new session", func(e holdfast.Event) bool {
		return e.Kind == holdfast.EventConnected && e.Epoch == 2 && !e.Resumed
	})
	afresh := next
	last := next + messages/2
	for ; next < last; next++ {
		require.NoError(t, c.Send(ctx, holdfast.Text, format(c.name, next)))
	}
	echoed := messages - 1
	for echoed < last-1 {
		m, err := c.Receive(ctx)
		require.NoError(t, err)
		sender, n, err := parse(m.Data)
		require.NoError(t, err)
		require.Equal(t, c.name, sender)
		require.Greater(t, n, echoed, "twice, or out of order")
		if n > afresh {
			require.Equal(t, echoed+1, n, "lost, of the new session")
		}
		if n >= afresh {
			assert.EqualValues(t, 2, m.Epoch)
		}
		echoed = n
	}
	took := p.ledger.of(c.name)
	for i := 1; i < len(took); i++ {
		require.Greater(t, took[i], took[i-1], "a server took it twice, or out of order")
	}
	require.Equal(t, upTo(last)[afresh:], took[len(took)-(last-afresh):])
	assert.EqualValues(t, 2, c.Stats().Epoch)
	assert.NotEmpty(t, c.events.of(holdfast.EventGap))
	t.Logf("%d of the %d messages on their way were of unknown fate; the servers took %d of them",
		c.Stats().Unknown, onTheirWay, len(took)-messages-(last-afresh))
}

func TestHAProxyNotSticky(t *testing.T) {
	for _, test := range []struct{ transport, scheme string }{{"longpoll", "http"}} {
		t.Run(test.transport, func(t *testing.T) {
			p := startPair(t, false)
			c := dial(t, test.scheme+"://"+p.front.addr+"/stream", nil)
			e := c.events.await(t, "not sticky", func(e holdfast.Event) bool {
				var de *holdfast.DialError
				return errors.As(e.Err, &de) && de.Class == holdfast.ClassNotSticky
			})
			t.Log(e)
		})
	}
}
