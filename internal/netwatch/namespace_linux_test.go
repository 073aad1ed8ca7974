package netwatch

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-ws/holdfast/internal/netns"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	far4, far6   = "198.51.100.1", "2001:db8:1::1" // behind the peer
	patience     = 10 * time.Second
	hereIPv4     = netns.HereIPv4 + netns.BitsIPv4
	hereIPv6     = netns.HereIPv6 + netns.BitsIPv6
	otherIPv4    = "10.77.0.9"
	notConnected = "192.0.2.77"
)

var (
	toFar4 = netns.Route{To: "198.51.100.0/24", Via: netns.PeerIPv4}
	toFar6 = netns.Route{To: "2001:db8:1::/48", Via: netns.PeerIPv6}
)

func osWatcher() *Watcher {
	return &Watcher{sys: osSystem{}, clock: sleepClock}
}

// change makes a change, and asserts that a signal follows it and that targets
// are, after that or a later signal, as wanted.
func change(t *testing.T, what string, make func(), want map[string]transport.Reachability) {
	t.Helper()
	w := osWatcher() // a new socket has no events of earlier changes
	ctx, cancel := context.WithCancel(t.Context())
	c := w.Changes(ctx)
	start := time.Now()
	var first, settled time.Duration
	wrong := func() string {
		for host, r := range want {
			if w.Check(ctx, host) != r {
				return host
			}
		}
		return ""
	}
	make()
	made := time.Since(start)
	timeout := time.After(patience)
	for settled == 0 {
		select {
		case <-c:
			if first == 0 {
				first = time.Since(start)
			}
			if wrong() == "" {
				settled = time.Since(start)
			}
		case <-timeout:
			host := wrong()
			require.Failf(t, what, "signal after %v; %s is still %v", first, host, w.Check(ctx, host))
		}
	}
	t.Logf("%-28s made in %8v, signal after %8v, answer after %8v", what, made.Round(time.Microsecond), first.Round(time.Microsecond), settled.Round(time.Microsecond))
	cancel()
	for range c {
	}
}

func TestNamespaceEvents(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		here, peer := p.Here, p.Peer
		up := map[string]transport.Reachability{
			netns.PeerIPv4 + ":80": transport.Reachable, "[" + netns.PeerIPv6 + "]:80": transport.Reachable, far4: transport.Reachable, far6: transport.Reachable,
			notConnected: transport.Unreachable, "127.0.0.1": transport.ReachUnknown,
		}
		offline := map[string]transport.Reachability{
			netns.PeerIPv4: transport.Unreachable, netns.PeerIPv6: transport.Unreachable, far4: transport.Unreachable, far6: transport.Unreachable,
			"127.0.0.1:80": transport.ReachUnknown, "localhost": transport.ReachUnknown, "example.com": transport.Unreachable,
		}
		routes := func() {
			here.AddRoute(t, toFar4)
			here.AddRoute(t, toFar6)
		}
		change(t, "route added", routes, up)
		change(t, "IPv4 route removed", func() { here.DelRoute(t, toFar4) },
			map[string]transport.Reachability{far4: transport.Unreachable, far6: transport.Reachable, netns.PeerIPv4: transport.Reachable})
		change(t, "IPv4 route back", func() { here.AddRoute(t, toFar4) }, up)
		change(t, "IPv6 route removed", func() { here.DelRoute(t, toFar6) },
			map[string]transport.Reachability{far6: transport.Unreachable, far4: transport.Reachable, netns.PeerIPv6: transport.Reachable})
		change(t, "IPv6 route back", func() { here.AddRoute(t, toFar6) }, up)

		change(t, "link down", func() { here.SetUp(t, netns.Device, false) }, offline)
		change(t, "link up", func() { here.SetUp(t, netns.Device, true) }, map[string]transport.Reachability{netns.PeerIPv4: transport.Reachable})
		change(t, "IPv6 address and routes back", func() {
			here.AddAddr(t, netns.Device, hereIPv6)
			routes()
		}, up)

		change(t, "carrier lost", func() { peer.SetUp(t, netns.Device, false) }, offline)
		change(t, "carrier back", func() { peer.SetUp(t, netns.Device, true) }, up)

		change(t, "IPv4 address removed", func() { here.DelAddr(t, netns.Device, hereIPv4) },
			map[string]transport.Reachability{netns.PeerIPv4: transport.Unreachable, far4: transport.Unreachable, netns.PeerIPv6: transport.Reachable})
		change(t, "another IPv4 address", func() { here.AddAddr(t, netns.Device, otherIPv4+netns.BitsIPv4) },
			map[string]transport.Reachability{netns.PeerIPv4: transport.Reachable, far4: transport.Unreachable})
		change(t, "IPv6 address removed", func() { here.DelAddr(t, netns.Device, hereIPv6) },
			map[string]transport.Reachability{netns.PeerIPv6: transport.Unreachable, far6: transport.Unreachable, netns.PeerIPv4: transport.Reachable})
		change(t, "IPv6 address back", func() { here.AddAddr(t, netns.Device, hereIPv6) },
			map[string]transport.Reachability{netns.PeerIPv6: transport.Reachable})
		change(t, "link removed", func() { here.DelLink(t, netns.Device) }, offline)
	})
}

func TestNamespaceStopJoins(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		entered := make(chan struct{}, 1)
		var finished atomic.Bool
		stop, err := osSystem{}.watch(func() {
			select {
			case entered <- struct{}{}:
				time.Sleep(20 * time.Millisecond) // a slow one
				finished.Store(true)
			default:
			}
		}, func() { t.Error("lost") })
		require.NoError(t, err)
		netns.Here(t).AddAddr(t, "lo", "192.0.2.1/32")
		<-entered
		stop()
		assert.True(t, finished.Load(), "stop returned while changed was running")
	})
}

func TestNamespaceForbiddenRoutes(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		for _, to := range []string{far4 + "/32", far6 + "/128"} {
			target := netip.MustParsePrefix(to).Addr().String()
			require.Equal(t, transport.Unreachable, osWatcher().Check(t.Context(), target))
			for _, typ := range []netns.RouteType{netns.Unreachable, netns.Prohibit, netns.Blackhole} {
				r := netns.Route{To: to, Type: typ}
				p.Here.AddRoute(t, r)
				assert.Equal(t, transport.ReachUnknown, osWatcher().Check(t.Context(), target), "%s, type %d", to, typ)
				assert.Equal(t, routeUnknown, udpRoute(netip.MustParseAddr(target), noRoute).kind)
				p.Here.DelRoute(t, r)
			}
		}
	})
}

func TestNamespaceSources(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		p.Here.AddRoute(t, toFar6)
		p.Here.AddRoute(t, netns.Route{To: "198.51.100.0/24", Dev: netns.Device})
		p.Here.AddRoute(t, netns.Route{To: "2001:db8:2::/48", Dev: netns.Device})
		w := osWatcher()
		require.Equal(t, transport.Reachable, w.Check(t.Context(), far4))
		require.Equal(t, transport.Reachable, w.Check(t.Context(), "2001:db8:2::1"))

		p.Here.AddAddr(t, netns.Device, "fe80::7/64") // its own may come a little later

		// Routes out by the link alone stay when the addresses go.
		p.Here.DelAddr(t, netns.Device, hereIPv4)
		p.Here.DelAddr(t, netns.Device, hereIPv6)
		p.Here.AddRoute(t, netns.Route{To: "203.0.113.0/24", Dev: netns.Device})
		assert.Equal(t, transport.Unreachable, w.Check(t.Context(), "203.0.113.1"), "no address to send from")
		assert.Equal(t, transport.Unreachable, w.Check(t.Context(), "2001:db8:2::1"), "only a link-local one")

		p.Here.AddAddr(t, netns.Device, "169.254.7.7/16")
		assert.Equal(t, transport.Unreachable, w.Check(t.Context(), "203.0.113.1"), "only a link-local one")
		assert.Equal(t, transport.Reachable, w.Check(t.Context(), "169.254.7.8"))
		assert.Equal(t, transport.Reachable, w.Check(t.Context(), "fe80::77%"+netns.Device))
		assert.Equal(t, transport.Unreachable, w.Check(t.Context(), "fe80::77%nothing"))
	})
}

func TestNamespaceHasAddr(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		l := p.Listen(t, "tcp", netns.PeerIPv4+":0")
		go func() {
			if conn, err := l.Accept(); err == nil {
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}
		}()
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		addr := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr()

		w := osWatcher()
		require.True(t, w.HasAddr(addr))
		p.Here.SetUp(t, netns.Device, false)
		assert.True(t, w.HasAddr(addr), "a link that is down keeps its IPv4 addresses")
		assert.False(t, w.HasAddr(netip.MustParseAddr(netns.HereIPv6)), "but not the others")
		p.Here.SetUp(t, netns.Device, true)
		change(t, "address removed", func() { p.Here.DelAddr(t, netns.Device, hereIPv4) }, nil)
		assert.False(t, w.HasAddr(addr))
		p.Here.AddAddr(t, netns.Device, otherIPv4+netns.BitsIPv4)
		assert.False(t, w.HasAddr(addr), "another one does not do")
		p.Here.AddAddr(t, netns.Device, hereIPv4)
		assert.True(t, w.HasAddr(addr))
	})
}

func TestNamespaceNames(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		w := osWatcher()
		check := func(host string) transport.Reachability { return w.Check(t.Context(), host) }

		assert.Equal(t, transport.ReachUnknown, check("example.com"), "no name server, a link with addresses")
		w.resolvConf = writeFile(t, "nameserver "+netns.PeerIPv4+"\nnameserver "+netns.PeerIPv6+"\n")
		assert.Equal(t, transport.ReachUnknown, check("example.com"))
		w.Learn("known.example:443", netip.MustParseAddr(far4))
		assert.Equal(t, transport.Unreachable, check("known.example:443"))
		p.Here.AddRoute(t, toFar4)
		assert.Equal(t, transport.Reachable, check("known.example:443"))

		p.Here.SetUp(t, netns.Device, false)
		assert.Equal(t, transport.Unreachable, check("known.example:443"))
		assert.Equal(t, transport.Unreachable, check("example.com"), "no name server within reach")
		w.resolvConf = ""
		assert.Equal(t, transport.Unreachable, check("example.com"), "no link")

		// Name servers out of reach, though there is a link.
		p.Here.SetUp(t, netns.Device, true)
		w.resolvConf = writeFile(t, "nameserver 192.0.2.53\n")
		assert.Equal(t, transport.Unreachable, check("example.com"))
	})
}

func TestNamespaceOtherVersion(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		w := osWatcher()
		require.Equal(t, transport.Unreachable, w.Check(t.Context(), far4))
		p.Here.AddAddr(t, netns.Device, "2001:db8::1/64")
		p.Here.AddRoute(t, netns.Route{To: "::/0", Via: netns.PeerIPv6})
		assert.Equal(t, transport.ReachUnknown, w.Check(t.Context(), far4), "the host is on the internet, of IPv6")
		assert.Equal(t, transport.Unreachable, w.Check(t.Context(), "10.9.9.9"), "a private target is not there")
	})
}

// The socket alone must find all but a lost carrier.
func TestNamespaceUDPRoute(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		for _, a := range []struct{ here, peer string }{{netns.HereIPv4, netns.PeerIPv4}, {netns.HereIPv6, netns.PeerIPv6}} {
			here, target := netip.MustParseAddr(a.here), netip.MustParseAddr(a.peer)
			assert.Equal(t, route{kind: routeFound, source: here}, udpRoute(target, noRoute))
			assert.Equal(t, route{kind: routeLocal}, udpRoute(here, noRoute))
		}
		p.Here.SetUp(t, netns.Device, false)
		for _, peer := range []string{netns.PeerIPv4, netns.PeerIPv6} {
			assert.Equal(t, route{kind: routeNone}, udpRoute(netip.MustParseAddr(peer), noRoute))
		}
	})
}

// A socket whose buffer overflowed tells so and goes on.
func TestNamespaceOverflow(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		require.NoError(t, err)
		defer unix.Close(fd)
		require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1))
		require.NoError(t, join(fd))
		here := netns.Here(t)
		for range 50 {
			here.AddAddr(t, "lo", "192.0.2.1/32")
			here.DelAddr(t, "lo", "192.0.2.1/32")
		}
		overflowed, after := false, 0
		reads := readerFunc(func(b []byte) (int, error) {
			n, err := unix.Read(fd, b)
			switch {
			case err == unix.ENOBUFS:
				overflowed = true
				here.AddAddr(t, "lo", "192.0.2.1/32")
			case overflowed && err == nil:
				after++
				err = io.EOF
			}
			return max(n, 0), err
		})
		changes := 0
		require.ErrorIs(t, readEvents(reads, func() { changes++ }), io.EOF)
		assert.Equal(t, 1, after, "it goes on after the overflow")
		assert.Positive(t, changes)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
