package holdfasttest

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/holdfast-ws/holdfast/transport"
)

// Network is a holdfast.Network whose answers the test sets:
//
//	network := holdfasttest.NewNetwork()
//	conn, err := holdfast.Dial(ctx, url, &holdfast.Options{Network: network})
//	network.SetOnline(false)
//
// All methods are safe for concurrent use.
type Network struct {
	mu       sync.Mutex
	offline  bool
	hosts    map[string]bool // hosts that are not like the others: whether they are reachable
	checks   int
	removed  map[netip.Addr]bool
	watchers map[chan struct{}]struct{}
}

// NewNetwork returns a network that is online.
func NewNetwork() *Network {
	return &Network{hosts: map[string]bool{}, removed: map[netip.Addr]bool{}, watchers: map[chan struct{}]struct{}{}}
}

// SetOnline says whether hosts are reachable, all of them or none; what
// SetHostOnline said before is forgotten. A change is signalled.
func (n *Network) SetOnline(online bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.offline == online || len(n.hosts) > 0 {
		n.offline = !online
		clear(n.hosts)
		n.signal()
	}
}

// SetHostOnline says whether one host is reachable, whatever SetOnline said of
// all: a server inside a VPN that is down, say, or the proxy. host is a name or
// IP address, and with a port it is that port alone. A change is signalled. It
// panics if host is empty.
func (n *Network) SetHostOnline(host string, online bool) {
	if host == "" {
		panic("holdfasttest: SetHostOnline: the host is empty; SetOnline is for all of them")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	host = strings.ToLower(host)
	if was, known := n.hosts[host]; known && was == online {
		return
	}
	n.hosts[host] = online
	n.signal()
}

// Signal announces a change of the network without saying which.
func (n *Network) Signal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.signal()
}

// RemoveAddr takes a local address from this host, as if its interface had
// gone, and signals the change. Connections that use it are lost.
func (n *Network) RemoveAddr(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.removed[addr.Unmap()] = true
	n.signal()
}

// RestoreAddr undoes RemoveAddr and signals the change.
func (n *Network) RestoreAddr(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.removed, addr.Unmap())
	n.signal()
}

// HasAddr reports whether addr is one of this host's: true unless RemoveAddr
// took it.
func (n *Network) HasAddr(addr netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.removed[addr.Unmap()]
}

// Check implements holdfast.Network: it says what SetHostOnline or SetOnline
// said last of the host, and else that it is reachable.
func (n *Network) Check(_ context.Context, host string) transport.Reachability {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.checks++
	if n.online(strings.ToLower(host)) {
		return transport.Reachable
	}
	return transport.Unreachable
}

// online looks for what is known of a host and port, of the host, and of all.
// n.mu is held.
func (n *Network) online(host string) bool {
	if online, known := n.hosts[host]; known {
		return online
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		if online, known := n.hosts[name]; known {
			return online
		}
	}
	return !n.offline
}

// Checks counts the calls to Check.
func (n *Network) Checks() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.checks
}

// Changes implements holdfast.Network. The channel is never closed; after ctx
// has ended it gets nothing more.
func (n *Network) Changes(ctx context.Context) <-chan struct{} {
	ch := make(chan struct{}, 1)
	n.mu.Lock()
	n.watchers[ch] = struct{}{}
	n.mu.Unlock()
	context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.watchers, ch)
	})
	return ch
}

// signal tells every watcher that has nothing to read yet. n.mu is held.
func (n *Network) signal() {
	for ch := range n.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
