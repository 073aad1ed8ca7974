//go:build linux

package integration

import (
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// squidFor starts squid with the page's configuration, whose port 443 is the server's.
func squidFor(t *testing.T, u *upstream, more ...change) *box {
	t.Helper()
	_, port, err := net.SplitHostPort(u.addr)
	require.NoError(t, err)
	return squidPage(t, append(more, change{"port 443", "port " + port})...)
}

func TestDocsSquid(t *testing.T) {
	var l ledger
	pair := newCertificate(t)
	u := startUpstream(t, &l, pair.server)
	proxy := squidFor(t, u)
	c := dial(t, "wss://"+u.addr+"/stream", func(o *holdfast.Options) { o.Proxy, o.TLSConfig = through(proxy), pair.client })
	c.direct()
	c.exchange(&l, proxy.restart)
	c.resumed()
	c.backOn("websocket")
}

// The upstream's port is not 443 here, as that of most servers without TLS.
func TestDocsSquidRefuses(t *testing.T) {
	var l ledger
	u := startUpstream(t, &l, nil)
	proxy := squidPage(t)
	c := dial(t, "ws://"+u.addr+"/stream", func(o *holdfast.Options) { o.Proxy = through(proxy) })
	why := c.fellBack()
	assert.Equal(t, holdfast.PhaseProxy, why.Phase)
	assert.Equal(t, http.StatusForbidden, why.StatusCode)
	c.exchange(&l, proxy.restart)
	c.resumed()
}

func TestDocsSquidIdle(t *testing.T) {
	var l ledger
	pair := newCertificate(t)
	u := startUpstream(t, &l, pair.server)
	proxy := squidFor(t, u, change{"read_timeout 15 minutes", "read_timeout 5 seconds"})
	idle(t, "wss://"+u.addr+"/stream", &l, func(o *holdfast.Options) { o.Proxy, o.TLSConfig = through(proxy), pair.client })
}
