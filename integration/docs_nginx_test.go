//go:build linux

package integration

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// schemes are the two transports, each on its own.
var schemes = []struct{ scheme, transport string }{{"wss", "websocket"}, {"https", "longpoll"}}

func trusting(pair certificate) func(*holdfast.Options) {
	return func(o *holdfast.Options) { o.TLSConfig = pair.client }
}

func TestDocsNginx(t *testing.T) {
	for _, test := range schemes {
		t.Run(test.transport, func(t *testing.T) {
			var l ledger
			u, pair := startUpstream(t, &l, nil), newCertificate(t)
			front := nginxPage(t, "nginx-one", pair, change{"10.0.0.1:8080", u.addr})
			c := dial(t, test.scheme+"://"+front.addr+"/stream", trusting(pair))
			require.Equal(t, test.transport, c.Stats().Transport)
			c.exchange(&l, front.restart)
			c.resumed()
			c.backOn(test.transport)
		})
	}
}

func TestDocsNginxIdle(t *testing.T) {
	var l ledger
	u, pair := startUpstream(t, &l, nil), newCertificate(t)
	front := nginxPage(t, "nginx-one", pair, change{"10.0.0.1:8080", u.addr}, change{"proxy_read_timeout 75s", "proxy_read_timeout 2s"})
	idle(t, "wss://"+front.addr+"/stream", &l, trusting(pair))
}

// startPagePair starts two servers behind a page's configuration.
func startPagePair(t *testing.T, front func(changes ...change) *box) *pair {
	t.Helper()
	p := &pair{ledger: &ledger{}}
	p.a, p.b = startUpstream(t, p.ledger, nil), startUpstream(t, p.ledger, nil)
	p.front = front(change{"10.0.0.1:8080", p.a.addr}, change{"10.0.0.2:8080", p.b.addr})
	return p
}

func nginxPair(t *testing.T, keys certificate) *pair {
	t.Helper()
	return startPagePair(t, func(changes ...change) *box { return nginxPage(t, "nginx-sticky", keys, changes...) })
}

func TestDocsNginxSticky(t *testing.T) {
	for _, test := range schemes {
		t.Run(test.transport, func(t *testing.T) {
			keys := newCertificate(t)
			for range 2 {
				nginxPair(t, keys).sticks(t, test.scheme, test.transport, trusting(keys))
			}
		})
	}
}

// sticks requires that all requests of a client reach one server, also after the
// front was restarted and after every connection was cut.
func (p *pair) sticks(t *testing.T, scheme, transport string, change func(*holdfast.Options)) {
	t.Helper()
	c := dial(t, scheme+"://"+p.front.addr+"/stream", func(o *holdfast.Options) {
		change(o)
		if scheme == "wss" {
			o.Fallback = nil // which would be right to step in for links that die young
		}
	})
	require.Equal(t, transport, c.Stats().Transport)
	c.exchange(p.ledger, func() {
		p.a.cut()
		p.b.cut()
		p.front.restart()
	})
	c.resumed()
	p.inUse(t)
	require.NoError(t, c.Close())
}

func TestDocsNginxRollingRestart(t *testing.T) {
	for _, test := range schemes {
		t.Run(test.transport, func(t *testing.T) {
			keys := newCertificate(t)
			nginxPair(t, keys).rolls(t, test.scheme, trusting(keys))
		})
	}
}

// rolls shuts the server of a session down, and requires that the client goes on at
// the other one, and that nothing is of unknown fate.
func (p *pair) rolls(t *testing.T, scheme string, change func(*holdfast.Options)) {
	t.Helper()
	c := dial(t, scheme+"://"+p.front.addr+"/stream", change)
	c.exchange(p.ledger, nil)
	used, _ := p.inUse(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, used.server.Shutdown(ctx))
	require.NoError(t, used.http.Shutdown(ctx))
	lost := c.events.await(t, "the close", func(e holdfast.Event) bool { return e.Kind == holdfast.EventDisconnected })
	var why *holdfast.CloseError
	require.ErrorAs(t, lost.Err, &why)
	assert.Equal(t, holdfast.StatusServiceRestart, why.Code)
	assert.True(t, why.Remote)
	assert.Zero(t, lost.Count, "of unknown fate")
	c.events.await(t, "a new session", func(e holdfast.Event) bool { return e.Kind == holdfast.EventConnected && e.Epoch == 2 })
	require.NoError(t, c.Send(ctx, holdfast.Text, format(c.name, messages)))
	m, n := c.next(ctx)
	assert.Equal(t, messages, n)
	assert.EqualValues(t, 2, m.Epoch)
	require.NoError(t, c.Close())
}
