package netwatch

import (
	"context"
	"net/netip"
	"strings"

	"github.com/holdfast-ws/holdfast/transport"
)

// Addresses that stand for the whole of the internet in a question to the
// routing table. Nothing is sent to them.
var (
	internet4 = netip.MustParseAddr("8.8.8.8")
	internet6 = netip.MustParseAddr("2001:4860:4860::8888")
)

// Check reports whether this host has a way to host, a name or an IP address,
// with or without a port. It looks nothing up in DNS, sends nothing, and answers
// at once. An ended ctx, a name of the loopback interface, a loopback address
// and the path of a unix socket are Unknown.
//
// What is judged is the address itself, or those that Learn was told for a name,
// or, for a name that nothing is known of, the name servers of resolv.conf: if
// none of them can be reached, no lookup can work. Without any (a name server on
// the loopback interface may know more than can be seen from here) the answer is
// Unreachable only if no interface is running with an address.
//
// An address is Unreachable when there is no route to it, only a link-local
// source address for a target that is not, or when the link on its way is not
// running. A route that forbids (unreachable, prohibit, blackhole) is a local
// policy and leaves it Unknown. A target is Unreachable when all its addresses are; but
// where all those are public ones of one IP version and the host has a way to the
// internet of the other, it is Unknown: that host is not offline, and the name
// may have an address that was not learned yet.
func (w *Watcher) Check(ctx context.Context, host string) transport.Reachability {
	if ctx.Err() != nil || isUnixSocket(host) {
		return transport.ReachUnknown
	}
	name, addr := splitHost(host)
	if addr.IsValid() {
		return w.target([]netip.Addr{addr})
	}
	if isLoopbackName(name) {
		return transport.ReachUnknown
	}
	if addrs := w.learned.get(name); len(addrs) > 0 {
		return w.target(addrs)
	}
	if w.canLookUp(name) {
		return transport.ReachUnknown
	}
	if addrs := hostsFile(w.hosts, name); len(addrs) > 0 {
		return w.target(addrs) // needs no lookup
	}
	return transport.Unreachable
}

// Learn tells that host, a name with or without a port, was reached at addr.
// The addresses last learned are kept, at most 8 of a name, for the 128 names
// last used. An IP address as host, and an invalid addr, are ignored.
func (w *Watcher) Learn(host string, addr netip.Addr) {
	name, literal := splitHost(host)
	if name == "" || literal.IsValid() || !addr.IsValid() {
		return
	}
	w.learned.add(name, addr.Unmap())
}

// canLookUp is false if no lookup of name can work now.
func (w *Watcher) canLookUp(name string) bool {
	// Multicast DNS (RFC 6762) asks no server.
	if !strings.HasSuffix(name, ".local") {
		if servers := nameServers(w.resolvConf); len(servers) > 0 {
			return w.target(servers) != transport.Unreachable
		}
	}
	return w.sys.connected()
}

// target judges a target by all its addresses.
func (w *Watcher) target(addrs []netip.Addr) transport.Reachability {
	verdict := transport.Unreachable
	var v4, v6, public bool
	for _, addr := range addrs {
		switch w.address(addr) {
		case transport.Reachable:
			return transport.Reachable
		case transport.ReachUnknown:
			verdict = transport.ReachUnknown
		}
		v4 = v4 || addr.Is4()
		v6 = v6 || addr.Is6()
		public = public || addr.IsGlobalUnicast() && !addr.IsPrivate()
	}
	if verdict == transport.Unreachable && public && v4 != v6 {
		other := internet4
		if v4 {
			other = internet6
		}
		if w.address(other) != transport.Unreachable {
			return transport.ReachUnknown
		}
	}
	return verdict
}

func (w *Watcher) address(addr netip.Addr) transport.Reachability {
	if addr.IsLoopback() || addr.IsUnspecified() { // a dial to the latter goes to the former
		return transport.ReachUnknown
	}
	return judge(w.sys.route(addr), addr)
}

// judge says what a route to addr means.
func judge(r route, addr netip.Addr) transport.Reachability {
	switch {
	case r.kind == routeUnknown:
		return transport.ReachUnknown
	case r.kind == routeLocal:
		return transport.Reachable
	case r.kind == routeNone, r.linkDown, !usableSource(r.source, addr):
		return transport.Unreachable
	}
	return transport.Reachable
}

// usableSource reports whether packets from source to addr can be answered. With
// no better address Linux takes ::1, or none at all.
func usableSource(source, addr netip.Addr) bool {
	if !source.IsValid() || source.IsUnspecified() || source.IsLoopback() {
		return false
	}
	return !source.IsLinkLocalUnicast() || addr.IsLinkLocalUnicast() || addr.IsMulticast()
}
