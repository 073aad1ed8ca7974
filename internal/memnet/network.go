// Package memnet is a network in memory, for tests. Its connections behave
// like TCP: they are buffered, have deadlines, end with FIN or reset, and can
// be slowed, cut and frozen.
//
// It starts no goroutine, and works in a testing/synctest bubble: whatever
// waits in it is durably blocked, and latency and deadlines are in virtual
// time. Make the network and its listeners inside the bubble.
package memnet

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Network is a set of listeners and the connections to them. All methods are
// safe for concurrent use.
type Network struct {
	delay atomic.Int64
	bytes atomic.Int64 // a second; 0 is no bound

	mu        sync.Mutex // taken before any pipe's
	names     names
	listeners map[string]*Listener
	conns     map[*Conn]struct{}
	black     map[string]bool
	failing   map[string]error // what dials to an address fail with
	down      error
	dials     int
	port      int
}

// New returns a network without latency that is up.
func New() *Network {
	return &Network{
		listeners: map[string]*Listener{},
		conns:     map[*Conn]struct{}{},
		black:     map[string]bool{},
		failing:   map[string]error{},
		port:      firstPort,
	}
}

// Listen listens on "host:port". Port 0 picks a free one. The host is an IP
// literal or a name, which stands for an address of its own; "" means 127.0.0.1.
// The error is a *net.OpError, around EADDRINUSE where the address is taken.
func (n *Network) Listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.names.resolve(addr)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: err}
	}
	for a.Port == 0 {
		p := n.nextPort()
		if try := (&net.TCPAddr{IP: a.IP, Port: p}); n.listeners[try.String()] == nil {
			a = try
		}
	}
	if n.listeners[a.String()] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: a, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &Listener{net: n, addr: a, queue: make(chan *Conn, backlog), closed: make(chan struct{})}
	n.listeners[a.String()] = l
	return l, nil
}

// DialContext connects to a listener; it has the signature of
// net.Dialer.DialContext and takes the networks tcp, tcp4 and tcp6. It takes
// one round trip of latency. Its errors are *net.OpError: around an
// *os.SyscallError with ECONNREFUSED where nothing listens, around ctx's error
// when ctx ends first, around SetDown's error while the network is down, around
// FailDials' error.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dials++
	a, err := n.names.resolve(addr)
	n.mu.Unlock()
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	c, err := n.dial(ctx, network, a)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: a, Err: err}
	}
	return c, nil
}

func (n *Network) dial(ctx context.Context, network string, a *net.TCPAddr) (*Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, net.UnknownNetworkError(network)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n.mu.Lock()
	down, black, failing := n.down, n.black[a.String()], n.failing[a.String()]
	n.mu.Unlock()
	if down != nil {
		return nil, down
	}
	if failing != nil {
		return nil, failing
	}
	if black {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if rtt := 2 * n.latency(); rtt > 0 {
		t := time.NewTimer(rtt)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	client, server, l, err := n.connect(a)
	if err != nil {
		return nil, err
	}
	if err := l.offer(ctx, server); err != nil {
		_, _ = client.Reset(), server.Reset()
		return nil, err
	}
	return client, nil
}

// connect makes the two ends of a connection to a.
func (n *Network) connect(a *net.TCPAddr) (client, server *Conn, l *Listener, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down != nil {
		return nil, nil, nil, n.down
	}
	if l = n.listeners[a.String()]; l == nil {
		return nil, nil, nil, errRefused()
	}
	local := &net.TCPAddr{IP: localIP(a), Port: n.nextPort()}
	out, in := newPipes(n, 0)
	client = &Conn{net: n, local: local, remote: a, in: in, out: out}
	server = &Conn{net: n, local: a, remote: local, in: out, out: in}
	n.conns[client], n.conns[server] = struct{}{}, struct{}{}
	return client, server, l, nil
}

// SetLatency sets the one-way delay of everything that is sent from now on,
// on new and live connections. The default is none.
func (n *Network) SetLatency(d time.Duration) { n.delay.Store(int64(max(d, 0))) }

func (n *Network) latency() time.Duration { return time.Duration(n.delay.Load()) }

// SetBandwidth bounds how many bytes a second each connection carries each way,
// of everything that is sent from now on, on new and live connections. They
// arrive in pieces of 1,460 bytes. 0, the default, is no bound.
func (n *Network) SetBandwidth(bytesPerSecond int) { n.bytes.Store(int64(max(bytesPerSecond, 0))) }

// SetDown takes the network down, or up again with nil. While it is down,
// dials fail with err in a *net.OpError (syscall.ENETUNREACH, say) and live
// connections are frozen; they go on when it is up.
func (n *Network) SetDown(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = err
	for c := range n.conns {
		c.in.setHold(holdDown, err != nil)
		c.out.setHold(holdDown, err != nil)
	}
}

// Blackhole makes dials to addr hang until their ctx ends, or no longer. A
// dial that hangs already goes on hanging. It panics if addr is no "host:port".
func (n *Network) Blackhole(addr string, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, err := n.names.resolve(addr)
	if err != nil {
		panic(err)
	}
	if on {
		n.black[a.String()] = true
	} else {
		delete(n.black, a.String())
	}
}

// FailDials makes dials to addr fail with err, in a *net.OpError, or no longer
// with nil. It panics if addr is no "host:port".
func (n *Network) FailDials(addr string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, bad := n.names.resolve(addr)
	if bad != nil {
		panic(bad)
	}
	if err != nil {
		n.failing[a.String()] = err
	} else {
		delete(n.failing, a.String())
	}
}

// Dials counts the calls to DialContext, failed ones too.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Freeze freezes or heals every live connection, as Conn.Freeze does. Later
// connections are not frozen.
func (n *Network) Freeze(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.Freeze(on)
	}
}

// Reset breaks every live connection at once: Reads and Writes return
// ECONNRESET at both ends, Reads after what had arrived.
func (n *Network) Reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		c.in.breakNow(syscall.ECONNRESET)
		c.out.breakNow(syscall.ECONNRESET)
	}
}

// Conns counts the ends that are not closed: two for each live connection.
func (n *Network) Conns() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

func (n *Network) forget(c *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

func (n *Network) remove(l *Listener) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.listeners, l.addr.String())
}

func errRefused() error { return os.NewSyscallError("connect", syscall.ECONNREFUSED) }
