//go:build linux

package integration

import "testing"

func haproxyPair(t *testing.T, keys certificate, more ...change) *pair {
	t.Helper()
	return startPagePair(t, func(changes ...change) *box { return haproxyPage(t, keys, append(changes, more...)...) })
}

func TestDocsHAProxy(t *testing.T) {
	for _, test := range schemes {
		t.Run(test.transport, func(t *testing.T) {
			keys := newCertificate(t)
			for range 2 {
				haproxyPair(t, keys).sticks(t, test.scheme, test.transport, trusting(keys))
			}
		})
	}
}

func TestDocsHAProxyIdle(t *testing.T) {
	keys := newCertificate(t)
	p := haproxyPair(t, keys, change{"timeout tunnel 75s", "timeout tunnel 2s"})
	idle(t, "wss://"+p.front.addr+"/stream", p.ledger, trusting(keys))
}

func TestDocsHAProxyRollingRestart(t *testing.T) {
	for _, test := range schemes {
		t.Run(test.transport, func(t *testing.T) {
			keys := newCertificate(t)
			haproxyPair(t, keys).rolls(t, test.scheme, trusting(keys))
		})
	}
}
