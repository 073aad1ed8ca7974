//go:build linux

package netns

import (
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// What NewPair sets up: one link at each end, of the same name, and one address
// of each IP version on it.
const (
	Device   = "eth0"
	HereIPv4 = "10.77.0.1"
	PeerIPv4 = "10.77.0.2"
	HereIPv6 = "fd77::1"
	PeerIPv6 = "fd77::2"
	// Lengths of their subnets, with the slash.
	BitsIPv4 = "/24"
	BitsIPv6 = "/64"
)

// Pair is the test's own namespace and a second one, joined by a cable whose
// ends are both named Device. There are no routes but those to the subnets of the
// two ends: give Peer's loopback link more addresses, and Here a route to them via
// PeerIPv4, where a test wants a target further away.
type Pair struct {
	Here, Peer *NS

	calls chan func()
}

// NewPair makes a pair with both ends up and running. Call it inside Run. The second namespace
// is gone when the test and the last of its sockets are.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{Here: Here(t), calls: make(chan func())}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		// Never unlocked: the thread belongs to the other namespace and
		// ends with this goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			noDAD()
			p.Peer, err = open()
		}
		started <- err
		if err != nil {
			return
		}
		defer p.Peer.close()
		for call := range p.calls {
			call()
		}
	}()
	t.Cleanup(func() {
		close(p.calls)
		<-ended
	})
	check(t, <-started)
	p.Peer.SetUp(t, "lo", true)
	p.Here.AddVeth(t, Device, p.Peer, Device)
	t.Cleanup(func() { _ = p.unplug() })
	for _, end := range []struct {
		ns     *NS
		v4, v6 string
	}{{p.Here, HereIPv4, HereIPv6}, {p.Peer, PeerIPv4, PeerIPv6}} {
		end.ns.SetUp(t, Device, true)
		end.ns.AddAddr(t, Device, end.v4+BitsIPv4)
		end.ns.AddAddr(t, Device, end.v6+BitsIPv6)
	}
	p.Here.WaitRunning(t, Device, true)
	p.Peer.WaitRunning(t, Device, true)
	return p
}

// unplug removes the cable, so that the next pair finds its names free.
func (p *Pair) unplug() error {
	m, err := p.Here.linkMessage(Device)
	if err != nil {
		return err
	}
	return p.Here.do(unix.RTM_DELLINK, 0, encode(m))
}

// Do runs f on a thread of the second namespace: sockets that f opens itself, not
// on other goroutines, belong to it for good and may be used anywhere. f must
// not end the test.
func (p *Pair) Do(f func()) {
	done := make(chan struct{})
	p.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// Listen listens in the second namespace, as net.Listen does, on an IP address
// and a port. The listener is closed when the test ends.
func (p *Pair) Listen(t testing.TB, network, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	p.Do(func() { l, err = net.Listen(network, addr) })
	if err != nil {
		t.Fatalf("listen in the second namespace: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// ListenPacket is Listen for UDP, for a name server say.
func (p *Pair) ListenPacket(t testing.TB, network, addr string) net.PacketConn {
	t.Helper()
	var c net.PacketConn
	var err error
	p.Do(func() { c, err = net.ListenPacket(network, addr) })
	if err != nil {
		t.Fatalf("listen in the second namespace: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
