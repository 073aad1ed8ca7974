// Package netwatch knows whether this host has a way to a target, and says
// when that may have changed. It sends no packet: it asks the routing table
// and listens to the operating system.
//
// On Linux it uses netlink; that part is tested in network namespaces. The
// parts for macOS and the BSDs (a routing socket), for Windows (the IP helper's
// notifications) and for the browser (navigator.onLine) say in their own
// comments how far they were run. Elsewhere, and where the system refuses, the
// addresses of the interfaces are compared every five seconds.
package netwatch

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Watcher answers for one host, the one that the program runs on. Its methods
// are safe for concurrent use. Until the first call of Changes it has no
// goroutine and holds no descriptor.
type Watcher struct {
	sys        system
	hosts      string               // path of the hosts file, "" for none
	resolvConf string               // path of resolv.conf, "" for none
	clock      func() time.Duration // a clock that goes on while the host sleeps

	learned learned

	mu   sync.Mutex
	subs map[chan struct{}]struct{} // guarded by mu
	stop func()                     // guarded by mu; not nil while there are subs
}

// system is what an operating system has to offer.
type system interface {
	// watch calls changed, on any goroutine, after each change of links,
	// addresses and routes, until stop. All that it needs is in place when it
	// returns, so that no later change is missed; stop returns when no call
	// is under way and none will follow. lost is called at most once, when
	// the watch has broken and sees nothing any more.
	watch(changed, lost func()) (stop func(), err error)
	// route looks the way to addr up, without a packet and without waiting.
	route(addr netip.Addr) route
	// device returns the name of the link that r leads out by, "" if it is not known.
	device(r route) string
	// addrs returns the addresses of all interfaces, sorted. ok is false
	// where they cannot be known.
	addrs() (list []netip.Addr, ok bool)
	// connected is false only if certainly no interface but the loopback one
	// is running with an address beyond link-local.
	connected() bool
}

// route is the answer of a routing table.
type route struct {
	kind     routeKind
	source   netip.Addr // of routeFound: the source address, invalid if there is none to use
	link     uint32     // of routeFound: the index of the link that it leads out by, 0 if it is not known
	linkDown bool       // of routeFound: that link is not running
}

type routeKind int

const (
	routeUnknown routeKind = iota // no answer, or forbidden by a local policy
	routeNone                     // no route
	routeLocal                    // the address is one of this host's own
	routeFound                    // out by some link
)

// System returns the process-wide Watcher of the operating system. It costs
// nothing until it is used.
func System() *Watcher { return systemWatcher() }

var systemWatcher = sync.OnceValue(func() *Watcher {
	return &Watcher{sys: osSystem{}, hosts: hostsPath, resolvConf: resolvConfPath, clock: sleepClock}
})

// HasAddr reports whether the local address addr is still one of this host's.
// It is true where that cannot be known, and for a loopback address. A zone is
// ignored.
func (w *Watcher) HasAddr(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.IsLoopback() || addr.IsUnspecified() {
		return true
	}
	list, ok := w.sys.addrs()
	if !ok || slices.Contains(list, addr) {
		return true
	}
	// A whole prefix may be local without being listed on an interface.
	return w.sys.route(addr).kind == routeLocal
}
