//go:build linux

package integration

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
)

func TestNginxThatStripsTheUpgrade(t *testing.T) {
	var l ledger
	u := startUpstream(t, &l, nil)
	front := nginx(t, "nginx-plain.conf", map[string]any{"Upstream": u.addr})
	c := dial(t, "ws://"+front.addr+"/stream", nil)

	why := c.fellBack()
	assert.Equal(t, holdfast.ClassBlocked, why.Class)
	assert.Equal(t, http.StatusUpgradeRequired, why.StatusCode)
	c.measure("nginx, default proxy_pass", "blocked, hard (426)")
	require.Len(t, u.seen(upgrades), 1)

	// The verdict is hard: the next connection polls at once.
	second := dial(t, "ws://"+front.addr+"/stream", nil)
	assert.Equal(t, "longpoll", second.Stats().Transport)
	second.measure("the same, remembered", "blocked, hard")
	assert.Len(t, u.seen(upgrades), 1)

	c.exchange(&l, front.restart)
	c.resumed()
	c.backOn("longpoll")
}

func TestNginxWithUpgradeHeaders(t *testing.T) {
	var l ledger
	u := startUpstream(t, &l, nil)
	front := nginx(t, "nginx-upgrade.conf", map[string]any{"Upstream": u.addr})
	c := dial(t, "ws://"+front.addr+"/stream", nil)

	c.direct()
	c.measure("nginx with Upgrade headers", "works")
	c.exchange(&l, front.restart)
	c.resumed()
	c.backOn("websocket")
}

func TestNginxThatBuffersAndIsImpatient(t *testing.T) {
	var l ledger
	u := startUpstream(t, &l, nil)
	front := nginx(t, "nginx-buffered.conf", map[string]any{"Upstream": u.addr})
	c := dial(t, "ws://"+front.addr+"/stream", func(o *holdfast.Options) {
		o.Fallback = []holdfast.Transport{fallback.LongPoll(&fallback.LongPollOptions{Hang: 8 * time.Second})}
	})
	assert.Equal(t, holdfast.ClassBlocked, c.fellBack().Class)
	c.measure("nginx, gzip and buffering", "blocked, hard (426)")

	// Nothing is said for longer than nginx waits: a poll ends with its 504,
	// the next one hangs for half as long, and the link lives.
	halved := func(r request) bool { return r.op == "poll" && r.hang == 4*time.Second }
	require.Eventually(t, func() bool { return len(u.seen(halved)) > 1 }, patience, 10*time.Millisecond)
	assert.Len(t, c.events.of(holdfast.EventConnected), 1)
	assert.Empty(t, c.events.of(holdfast.EventDisconnected))

	c.exchange(&l, front.restart)
	c.resumed()
	c.backOn("longpoll")
}

func TestNginxWithHTTP2(t *testing.T) {
	var l ledger
	u := startUpstream(t, &l, nil)
	pair := newCertificate(t)
	front := nginx(t, "nginx-http2.conf", map[string]any{"Upstream": u.addr, "Cert": pair.cert, "Key": pair.key})
	c := dial(t, "wss://"+front.addr+"/stream", func(o *holdfast.Options) { o.TLSConfig = pair.client })

	why := c.fellBack()
	assert.Equal(t, holdfast.ClassBlocked, why.Class)
	assert.Equal(t, http.StatusUpgradeRequired, why.StatusCode)
	c.measure("nginx, TLS and HTTP/2", "blocked, hard (426)")
	c.exchange(&l, front.restart)
	c.resumed()
	all := u.seen(polls)
	assert.NotEmpty(t, all)
	for _, r := range all {
		require.Equal(t, "HTTP/2.0", r.frontProtocol, r.op)
	}
	for _, r := range u.seen(upgrades) {
		assert.Equal(t, "HTTP/1.1", r.frontProtocol)
	}
}
