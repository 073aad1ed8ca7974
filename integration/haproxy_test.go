//go:build linux

package integration

import (
	"context"
	"errors"
	"net/http"
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
			c.measure("HAProxy, two servers, cookie ("+test.scheme+"://)", "works")

			c.exchange(p.ledger, p.front.restart)
			c.resumed()
			c.backOn(test.transport)
			used, _ := p.inUse(t)

			c.loseServer(p, used)
			c.backOn(test.transport)
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
	const onTheirWay = messages / 2
	afresh := messages + onTheirWay // the first message for the new session
	last := afresh + messages/2
	for n := messages; n < afresh; n++ {
		require.NoError(t, c.Send(ctx, holdfast.Text, format(c.name, n)))
	}
	_, echoed := c.next(ctx)
	used.kill()
	c.events.await(t, "a new session", func(e holdfast.Event) bool {
		return e.Kind == holdfast.EventConnected && e.Epoch == 2 && !e.Resumed
	})
	for n := afresh; n < last; n++ {
		require.NoError(t, c.Send(ctx, holdfast.Text, format(c.name, n)))
	}
	back := 1
	for echoed < last-1 {
		m, n := c.next(ctx)
		require.Greater(t, n, echoed, "twice, or out of order")
		if n >= afresh {
			require.EqualValues(t, 2, m.Epoch)
			require.Equal(t, max(echoed+1, afresh), n, "lost, of the new session")
		} else {
			back++
		}
		echoed = n
	}
	took := p.ledger.of(c.name)
	for i := 1; i < len(took); i++ {
		require.Greater(t, took[i], took[i-1], "taken twice, or out of order")
	}
	assert.Equal(t, upTo(last)[afresh:], took[len(took)-(last-afresh):])
	assert.EqualValues(t, 2, c.Stats().Epoch)
	assert.NotEmpty(t, c.events.of(holdfast.EventGap))
	t.Logf("of the %d messages on their way the servers took %d, %d came back, and %d were of unknown fate",
		onTheirWay, len(took)-messages-(last-afresh), back, c.Stats().Unknown)
}

// next receives a message of this client's.
func (c *client) next(ctx context.Context) (holdfast.Message, int) {
	c.t.Helper()
	m, err := c.Receive(ctx)
	require.NoError(c.t, err)
	sender, n, err := parse(m.Data)
	require.NoError(c.t, err)
	require.Equal(c.t, c.name, sender)
	return m, n
}

// Without a cookie a WebSocket's session is found again as long as one of the
// tries reaches its server.
func TestHAProxyNotStickyWebSocket(t *testing.T) {
	p := startPair(t, false)
	c := dial(t, "ws://"+p.front.addr+"/stream", nil)
	c.direct()
	c.measure("HAProxy, two servers in turn", "works")
	used, other := p.inUse(t)
	c.exchange(p.ledger, used.cut)
	c.resumed()
	assert.NotEmpty(t, other.seen(upgrades), "the second link went to the same server at once")
	c.backOn("websocket")
}

// Polls need one server for all of a session's requests.
func TestHAProxyNotStickyPolls(t *testing.T) {
	p := startPair(t, false)
	c := connect(t, "http://"+p.front.addr+"/stream", nil)
	var why *holdfast.DialError
	c.events.await(t, "not sticky", func(e holdfast.Event) bool {
		return errors.As(e.Err, &why) && why.Class == holdfast.ClassNotSticky
	})
	assert.Equal(t, http.StatusMisdirectedRequest, why.StatusCode)
	assert.Equal(t, holdfast.DecisionRetrySlowly, why.Decision)
	assert.Contains(t, why.Hint, "not sticky")
	assert.NotEmpty(t, p.a.seen(polls))
	assert.NotEmpty(t, p.b.seen(polls))
}
