package doctor

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/internal/netns"
)

// What fails beyond sockets is made in network namespaces: here is the client,
// and over a cable the peer.

const (
	far4, far6 = "198.51.100.1", "2001:db8:1::1" // behind the peer
	nobody     = "10.77.0.77"                    // on the cable's subnet
	serverPort = ":8080"
)

// fullPort is an address whose queue of connections is full, so that the kernel
// drops the packets of further ones.
func fullPort(t *testing.T) (addr string) {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) })) // room for one
	require.NoError(t, err)
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return l.Addr().String()
}

func TestPacketsDropped(t *testing.T) {
	diagnose(t, []failure{
		{cause: "packets dropped", parallel: true, class: holdfast.ClassTimeout, step: doctor.StepTCP, advice: "a firewall may be dropping packets, or the address or port is wrong",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Timeout = short
				return "ws://" + fullPort(t) + "/stream"
			}},
		{cause: "packets dropped at the proxy", parallel: true, loose: true, class: holdfast.ClassProxyDown, step: doctor.StepTCP, advice: "is it running",
			make: func(t *testing.T, o *doctor.Options) string {
				o.Timeout = short
				o.Proxy = proxyAt("http", fullPort(t))
				return "ws://server.test/stream"
			}},
	})
}

// forbid makes a target that a route of this host forbids.
func forbid(p *netns.Pair, typ netns.RouteType) func(*testing.T, *doctor.Options) string {
	return func(t *testing.T, _ *doctor.Options) string {
		r := netns.Route{To: far4 + "/32", Type: typ}
		p.Here.AddRoute(t, r)
		t.Cleanup(func() { p.Here.DelRoute(t, r) })
		return "ws://" + far4 + serverPort + "/stream"
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		p.Do(func() { _ = os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0) })
		// Neighbours are asked for three times, a second apart unless this may be set.
		_ = os.WriteFile("/proc/sys/net/ipv4/neigh/"+netns.Device+"/retrans_time_ms", []byte("20"), 0)
		s := holdfasttest.NewServer(p.Listen(t, "tcp", netns.PeerIPv4+serverPort))
		t.Cleanup(s.Close)
		rows := []failure{
			{cause: "another host that works", fine: true,
				make: func(*testing.T, *doctor.Options) string { return "ws://" + netns.PeerIPv4 + serverPort + "/stream" }},
			{cause: "unreachable route", make: forbid(p, netns.Unreachable), class: holdfast.ClassUnreachable, advice: "an unreachable route of this host says the same"},
			{cause: "prohibit route", make: forbid(p, netns.Prohibit), class: holdfast.ClassLocalPolicy, advice: "look at its firewall, its prohibit routes"},
			{cause: "blackhole route", make: forbid(p, netns.Blackhole), class: holdfast.ClassLocalPolicy, advice: "look for a blackhole route"},
			{cause: "ARP failure", class: holdfast.ClassUnreachable, advice: "is that machine up",
				make: func(*testing.T, *doctor.Options) string { return "ws://" + nobody + serverPort + "/" }},
			{cause: "nothing listens on another host", class: holdfast.ClassServerDown, advice: "is the server running",
				make: func(*testing.T, *doctor.Options) string { return "wss://" + netns.PeerIPv4 + "/stream" }},
			{cause: "packets dropped on their way back", class: holdfast.ClassTimeout, advice: "a firewall may be dropping packets",
				make: func(t *testing.T, o *doctor.Options) string {
					r := netns.Route{To: netns.HereIPv4 + "/32", Type: netns.Blackhole}
					p.Peer.AddRoute(t, r)
					t.Cleanup(func() { p.Peer.DelRoute(t, r) })
					o.Timeout = short
					return "ws://" + netns.PeerIPv4 + serverPort + "/stream"
				}},
		}
		for i := range rows {
			rows[i].step = doctor.StepTCP
		}
		diagnose(t, append(rows, failure{cause: "nothing listens at the name server", class: holdfast.ClassDNS, step: doctor.StepDNS, advice: "look at the resolver",
			make: func(t *testing.T, _ *doctor.Options) string {
				netns.Resolvers(t, netns.PeerIPv4)
				return "ws://server.test/stream"
			}}))
	})
}

// A router's own word comes after its second packet was not taken, in a second.
func TestRouter(t *testing.T) {
	t.Parallel()
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		var err error
		p.Do(func() {
			_ = os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0)
			err = os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
		})
		if err != nil {
			t.Skip("the peer cannot be made a router")
		}
		p.Here.AddRoute(t, netns.Route{To: "203.0.113.1/32", Via: netns.PeerIPv4})
		p.Here.AddRoute(t, netns.Route{To: "203.0.113.2/32", Via: netns.PeerIPv4})
		p.Peer.AddRoute(t, netns.Route{To: "203.0.113.2/32", Type: netns.Unreachable})
		diagnose(t, []failure{
			{cause: "a router without a route", class: holdfast.ClassUnreachable, step: doctor.StepTCP, advice: "the VPN to it", parallel: true,
				make: func(*testing.T, *doctor.Options) string { return "ws://203.0.113.1" + serverPort + "/stream" }},
			{cause: "a router with an unreachable route", class: holdfast.ClassUnreachable, step: doctor.StepTCP, advice: "the VPN to it", parallel: true,
				make: func(*testing.T, *doctor.Options) string { return "ws://203.0.113.2" + serverPort + "/stream" }},
		})
	})
}

// Offline is where this host itself has no way.
func TestOffline(t *testing.T) {
	for _, x := range []struct {
		cause, target string
		begin         func(t *testing.T, p *netns.Pair)
	}{
		{"no route", far4, func(*testing.T, *netns.Pair) {}},
		{"no route, IPv6", far6, func(*testing.T, *netns.Pair) {}},
		{"link down", netns.PeerIPv4, func(t *testing.T, p *netns.Pair) { p.Here.SetUp(t, netns.Device, false) }},
		{"address gone", netns.PeerIPv4, func(t *testing.T, p *netns.Pair) { p.Here.DelAddr(t, netns.Device, netns.HereIPv4+netns.BitsIPv4) }},
		{"carrier lost", netns.PeerIPv4, unplug},
		{"carrier lost, by name", "server.test", func(t *testing.T, p *netns.Pair) {
			netns.Resolvers(t, netns.PeerIPv4)
			nameServer(t, p.ListenPacket(t, "udp", netns.PeerIPv4+":53"), dnsmessage.RCodeSuccess, netip.MustParseAddr(netns.PeerIPv4))
			unplug(t, p)
		}},
		{"no route to the proxy", "server.test", func(*testing.T, *netns.Pair) {}},
	} {
		t.Run(x.cause, func(t *testing.T) {
			t.Parallel() // each has a namespace of its own
			netns.Run(t, func(t *testing.T) {
				p := netns.NewPair(t)
				x.begin(t, p)
				failure{cause: x.cause, class: holdfast.ClassOffline, advice: "check cable, Wi-Fi, VPN and routes", step: doctor.StepNetwork,
					make: func(_ *testing.T, o *doctor.Options) string {
						o.Timeout = short
						if x.cause == "no route to the proxy" {
							o.Proxy = proxyAt("http", far4+":3128")
						}
						return "ws://" + net.JoinHostPort(x.target, serverPort[1:]) + "/stream"
					}}.check(t)
			})
		})
	}
}

// unplug takes this end's carrier away, which the kernel may tell a second late.
func unplug(t *testing.T, p *netns.Pair) {
	t.Helper()
	p.Peer.SetUp(t, netns.Device, false)
	p.Here.WaitRunning(t, netns.Device, false)
}
