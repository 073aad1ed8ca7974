package holdfasttest

import (
	"context"
	"net/netip"
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
	checks   int
	removed  map[netip.Addr]bool
	watchers map[chan struct{}]struct{}
}

// NewNetwork returns a network that is online.
func NewNetwork() *Network {
	return &Network{removed: map[netip.Addr]bool{}, watchers: map[chan struct{}]struct{}{}}
}

// SetOnline says whether hosts are reachable, all of them or none. A change is
// signalled.
func (n *Network) SetOnline(online bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.offline == online {
		n.offline = !online
		n.signal()
	}
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

// Check implements holdfast.Network. While the network is online it says that
// every host is reachable.
func (n *Network) Check(context.Context, string) transport.Reachability {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.checks++
	if n.offline {
		return transport.Unreachable
	}
	return transport.Reachable
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
