package holdfasttest

import (
	"context"
	"net/netip"
	"sync"
)

// Network is a holdfast.Network whose answers the test sets. Its type
// parameter is holdfast.Reachability:
//
//	network := holdfasttest.NewNetwork[holdfast.Reachability]()
//	conn, err := holdfast.Dial(ctx, url, &holdfast.Options{Network: network})
//	network.SetOnline(false)
//
// All methods are safe for concurrent use.
type Network[R ~int] struct {
	mu       sync.Mutex
	offline  bool
	checks   int
	removed  map[netip.Addr]bool
	watchers map[chan struct{}]struct{}
}

// The values of holdfast.Reachability.
const (
	reachable   = 1
	unreachable = 2
)

// NewNetwork returns a network that is online.
func NewNetwork[R ~int]() *Network[R] {
	return &Network[R]{removed: map[netip.Addr]bool{}, watchers: map[chan struct{}]struct{}{}}
}

// SetOnline says whether hosts are reachable, all of them or none. A change is
// signalled.
func (n *Network[R]) SetOnline(online bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.offline == online {
		n.offline = !online
		n.signal()
	}
}

// Signal announces a change of the network without saying which.
func (n *Network[R]) Signal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.signal()
}

// RemoveAddr takes a local address from this host, as if its interface had
// gone, and signals the change. Connections that use it are lost.
func (n *Network[R]) RemoveAddr(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.removed[addr.Unmap()] = true
	n.signal()
}

// RestoreAddr undoes RemoveAddr and signals the change.
func (n *Network[R]) RestoreAddr(addr netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.removed, addr.Unmap())
	n.signal()
}

// HasAddr reports whether addr is one of this host's: true unless RemoveAddr
// took it.
func (n *Network[R]) HasAddr(addr netip.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.removed[addr.Unmap()]
}

// Check implements holdfast.Network. While the network is online it says that
// every host is reachable.
func (n *Network[R]) Check(context.Context, string) R {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.checks++
	if n.offline {
		return unreachable
	}
	return reachable
}

// Checks counts the calls to Check.
func (n *Network[R]) Checks() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.checks
}

// Changes implements holdfast.Network. The channel is never closed; after ctx
// has ended it gets nothing more.
func (n *Network[R]) Changes(ctx context.Context) <-chan struct{} {
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
func (n *Network[R]) signal() {
	for ch := range n.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
