package holdfast

import (
	"context"
	"net/netip"

	"github.com/holdfast-ws/holdfast/internal/netwatch"
	"github.com/holdfast-ws/holdfast/transport"
)

// Reachability is what a Network says of a host.
type Reachability = transport.Reachability

const (
	// ReachUnknown: nothing speaks against dialling.
	ReachUnknown = transport.ReachUnknown
	// Reachable: there is a way to the host.
	Reachable = transport.Reachable
	// Unreachable: this host is offline as far as that host is concerned.
	Unreachable = transport.Unreachable
)

// Network tells whether this host is offline. A Conn asks it before each dial,
// after a failed one, and after each change. Its methods run on the Conn's own
// goroutine: they must not block, nor call Close.
type Network interface {
	// Check says whether there is a way to host, a name or IP address with a
	// port: the server's, or the proxy's where one is used. Unreachable puts
	// the Conn into StateOffline.
	Check(ctx context.Context, host string) Reachability
	// Changes returns a channel that gets a value after each change of the
	// network, until ctx ends. One value may stand for several changes.
	Changes(ctx context.Context) <-chan struct{}
}

// addrKeeper is what a Network may know beyond: whether a link's local address
// is still there. Without it a change is answered by a ping alone.
type addrKeeper interface {
	HasAddr(addr netip.Addr) bool
}

// learner is told at which address a host was reached.
type learner interface {
	Learn(host string, addr netip.Addr)
}

// systemNetwork is the operating system's.
type systemNetwork struct {
	*netwatch.Watcher
	customDialer bool // its routes are not ours to judge
}

// Check implements Network.
func (n systemNetwork) Check(ctx context.Context, host string) Reachability {
	if n.customDialer {
		return ReachUnknown
	}
	return n.Watcher.Check(ctx, host)
}

// HasAddr is for links of the host's own.
func (n systemNetwork) HasAddr(addr netip.Addr) bool {
	return n.customDialer || n.Watcher.HasAddr(addr)
}

// Learn keeps what a custom dialer reached to itself.
func (n systemNetwork) Learn(host string, addr netip.Addr) {
	if !n.customDialer {
		n.Watcher.Learn(host, addr)
	}
}
