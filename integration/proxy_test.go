//go:build linux

package integration

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast"
)

// forwardProxies are those that clients have to use in some networks.
var forwardProxies = []struct {
	name  string
	start func(t *testing.T, values map[string]any) *box
}{
	{"squid", squid},
	{"tinyproxy", tinyproxy},
}

func TestForwardProxyThatRefusesTunnels(t *testing.T) {
	for _, test := range forwardProxies {
		t.Run(test.name, func(t *testing.T) {
			var l ledger
			u := startUpstream(t, &l, nil)
			proxy := test.start(t, map[string]any{"ConnectAnywhere": false})
			c := dial(t, "ws://"+u.addr+"/stream", func(o *holdfast.Options) { o.Proxy = through(proxy) })

			why := c.fellBack()
			assert.Equal(t, holdfast.ClassBlocked, why.Class)
			assert.Equal(t, holdfast.PhaseProxy, why.Phase)
			assert.Equal(t, http.StatusForbidden, why.StatusCode)
			assert.Empty(t, u.seen(upgrades))
			c.measure(test.name+", CONNECT to 443 alone", "blocked, soft")
			c.exchange(&l, proxy.restart)
			c.resumed()
			c.backOn("longpoll")
		})
	}
}

func TestForwardProxyWithTunnels(t *testing.T) {
	for _, test := range forwardProxies {
		for _, scheme := range []string{"ws", "wss"} {
			t.Run(test.name+"/"+scheme, func(t *testing.T) {
				var l ledger
				pair := newCertificate(t)
				if scheme == "ws" {
					pair.server = nil
				}
				u := startUpstream(t, &l, pair.server)
				proxy := test.start(t, map[string]any{"ConnectAnywhere": true})
				c := dial(t, scheme+"://"+u.addr+"/stream", func(o *holdfast.Options) {
					o.Proxy, o.TLSConfig = through(proxy), pair.client
				})

				c.direct()
				c.measure(test.name+", CONNECT, "+scheme+"://", "works")
				c.exchange(&l, proxy.restart)
				c.resumed()
				c.backOn("websocket")
			})
		}
	}
}
