//go:build !js

package netwatch

import (
	"net/netip"
	"slices"

	"github.com/holdfast-ws/holdfast/transport"
)

// loopback stands for the loopback interface, whatever the system calls it.
const loopback = "lo"

// Egress tells by which interface, and with a local address of which prefix, this
// host reaches host, a name or an IP address, with or without a port. The prefix
// is the text of a /24 or a /64, such as "192.0.2.0/24". Both are "" where that
// is not known: there is no way, the system does not say, host is the path of a
// unix socket, or a name that Learn was told nothing of. A way that stays on
// this host is "lo" without a prefix.
//
// It looks nothing up in DNS, sends nothing, and answers at once. Of the
// addresses of a name the one that was learned last and has a way counts.
func (w *Watcher) Egress(host string) (egress, prefix string) {
	if isUnixSocket(host) {
		return "", ""
	}
	name, addr := splitHost(host)
	if addr.IsValid() {
		egress, prefix, _ = w.way(addr)
		return egress, prefix
	}
	if isLoopbackName(name) {
		return loopback, ""
	}
	for _, addr := range slices.Backward(w.learned.get(name)) {
		if egress, prefix, ok := w.way(addr); ok {
			return egress, prefix
		}
	}
	return "", ""
}

// way is Egress for one address. ok is false if there is no way to it, or if
// nothing is known of it.
func (w *Watcher) way(addr netip.Addr) (egress, prefix string, ok bool) {
	if addr.IsLoopback() || addr.IsUnspecified() {
		return loopback, "", true
	}
	r := w.sys.route(addr)
	switch {
	case r.kind == routeLocal:
		return loopback, "", true
	case judge(r, addr) != transport.Reachable:
		return "", "", false
	}
	return w.sys.device(r), prefixOf(r.source), true
}

func prefixOf(addr netip.Addr) string {
	bits := 64
	if addr.Is4() {
		bits = 24
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}
