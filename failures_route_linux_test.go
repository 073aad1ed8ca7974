package holdfast_test

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	"github.com/holdfast-ws/holdfast/internal/netns"
)

// What fails beyond sockets is made in network namespaces: here is the client,
// and over a cable the peer.

const (
	far4, far6 = "198.51.100.1", "2001:db8:1::1" // behind the peer
	hereIPv4   = netns.HereIPv4 + netns.BitsIPv4
	otherIPv4  = "10.77.0.9"
	nobody     = "10.77.0.77" // on the cable's subnet
	farURL     = "ws://" + far4 + ":8080/stream"
	serverPort = ":8080"
)

var (
	toFar4 = netns.Route{To: "198.51.100.0/24", Via: netns.PeerIPv4}
	toFar6 = netns.Route{To: "2001:db8:1::/48", Via: netns.PeerIPv6}
)

// forbid makes a target that a route of this host forbids.
func forbid(p *netns.Pair, typ netns.RouteType) func(*testing.T, *holdfast.Options) string {
	return func(t *testing.T, _ *holdfast.Options) string {
		r := netns.Route{To: far4 + "/32", Type: typ}
		p.Here.AddRoute(t, r)
		t.Cleanup(func() { p.Here.DelRoute(t, r) })
		return farURL
	}
}

// behind makes a target to which this host has a route
// through the peer, and the peer has none, or one that forbids.
func behind(p *netns.Pair, target string, typ netns.RouteType) func(*testing.T, *holdfast.Options) string {
	return func(t *testing.T, _ *holdfast.Options) string {
		p.Here.AddRoute(t, netns.Route{To: target + "/32", Via: netns.PeerIPv4})
		if typ != netns.Unicast {
			p.Peer.AddRoute(t, netns.Route{To: target + "/32", Type: typ})
		}
		return "ws://" + target + serverPort + "/stream"
	}
}

func TestFailuresRoute(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		var err error
		p.Do(func() {
			_ = os.WriteFile("/proc/sys/net/ipv4/icmp_ratelimit", []byte("0"), 0)
			err = os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
		})
		forwards := err == nil
		// Neighbours are asked for three times, a second apart unless this may be set.
		_ = os.WriteFile("/proc/sys/net/ipv4/neigh/"+netns.Device+"/retrans_time_ms", []byte("20"), 0)
		s := holdfasttest.NewServer(p.Listen(t, "tcp", netns.PeerIPv4+serverPort))
		t.Cleanup(s.Close)

		rows := []failure{
			{cause: "unreachable route", make: forbid(p, netns.Unreachable), class: holdfast.ClassUnreachable, decision: holdfast.DecisionRetry, is: unix.EHOSTUNREACH,
				hint: []string{far4 + ":8080 cannot be reached", "an unreachable route of this host says the same"}},
			{cause: "prohibit route", make: forbid(p, netns.Prohibit), class: holdfast.ClassLocalPolicy, decision: holdfast.DecisionRetrySlowly, is: unix.EACCES,
				hint: []string{"this host forbids the connection to " + far4 + ":8080", "look at its firewall, its prohibit routes"}},
			{cause: "blackhole route", make: forbid(p, netns.Blackhole), class: holdfast.ClassLocalPolicy, decision: holdfast.DecisionRetrySlowly, is: unix.EINVAL,
				hint: []string{"this host cannot route to " + far4 + ":8080", "look for a blackhole route"}},
			{cause: "ARP failure", class: holdfast.ClassUnreachable, decision: holdfast.DecisionRetry, is: unix.EHOSTUNREACH,
				make: func(*testing.T, *holdfast.Options) string { return "ws://" + nobody + serverPort + "/" },
				hint: []string{"this host is not offline, but the network says that " + nobody + ":8080 cannot be reached", "is that machine up"}},
			{cause: "nothing listens on another host", class: holdfast.ClassServerDown, decision: holdfast.DecisionRetry, is: unix.ECONNREFUSED,
				make: func(*testing.T, *holdfast.Options) string { return "wss://" + netns.PeerIPv4 + "/stream" },
				hint: []string{"nothing listens on " + netns.PeerIPv4 + ":443, or a firewall refuses"}},
			{cause: "packets dropped on their way back", class: holdfast.ClassTimeout, decision: holdfast.DecisionRetry,
				make: func(t *testing.T, o *holdfast.Options) string {
					r := netns.Route{To: netns.HereIPv4 + "/32", Type: netns.Blackhole}
					p.Peer.AddRoute(t, r)
					t.Cleanup(func() { p.Peer.DelRoute(t, r) })
					o.HandshakeTimeout = short
					return "ws://" + netns.PeerIPv4 + serverPort + "/stream"
				},
				hint: []string{netns.PeerIPv4 + ":8080 did not answer in time", "a firewall may be dropping packets"}},
			{cause: "nothing listens at the name server", phase: holdfast.PhaseResolve, class: holdfast.ClassDNS, decision: holdfast.DecisionRetry,
				make: func(t *testing.T, _ *holdfast.Options) string {
					netns.Resolvers(t, netns.PeerIPv4)
					return "ws://server.test/stream"
				},
				hint: []string{`the name servers failed for "server.test"`, "look at the resolver"}},
		}
		if forwards {
			for _, router := range []struct {
				cause, target string
				typ           netns.RouteType
				is            error
			}{
				{"a router without a route", "203.0.113.1", netns.Unicast, unix.ENETUNREACH},
				{"a router with an unreachable route", "203.0.113.2", netns.Unreachable, unix.EHOSTUNREACH},
			} {
				rows = append(rows, failure{
					cause: router.cause, make: behind(p, router.target, router.typ), class: holdfast.ClassUnreachable, decision: holdfast.DecisionRetry, is: router.is,
					hint:     []string{"this host is not offline, but the network says that " + router.target + ":8080 cannot be reached", "the VPN to it"},
					parallel: true, // the kernel takes the answer to its second packet, after 1 s
				})
			}
		} else {
			t.Log("the peer cannot be made a router: its answers are left out")
		}
		for i := range rows {
			if rows[i].phase == 0 {
				rows[i].phase = holdfast.PhaseConnect
			}
		}
		explain(t, rows)
	})
}

// A change of the network ends the slow wait after a local rule forbade the dial.
func TestFailuresLocalPolicyIsRetriedOnChange(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		farServer(t, p)
		p.Here.AddRoute(t, toFar4)
		rule := netns.Route{To: far4 + "/32", Type: netns.Prohibit}
		p.Here.AddRoute(t, rule)

		o := failureOptions()
		o.Retry = holdfast.RetryPolicy{MaxRetries: 1, MaxDelay: 24 * time.Hour}
		o.Background = true
		r := record(t, o)
		c, err := holdfast.Dial(t.Context(), plant(t, farURL), o)
		require.NoError(t, err)
		defer c.CloseNow()
		assert.GreaterOrEqual(t, r.await(holdfast.EventWaiting, 1).Delay, 12*time.Hour)
		p.Here.DelRoute(t, rule)
		r.await(holdfast.EventConnected, 1)
		assert.Empty(t, r.of(holdfast.EventOffline))
	})
}

// farServer serves on the far address, to which there is no route at first.
func farServer(t *testing.T, p *netns.Pair) *holdfasttest.Server {
	t.Helper()
	p.Peer.AddAddr(t, "lo", far4+"/32")
	s := holdfasttest.NewServer(p.Listen(t, "tcp", far4+serverPort))
	t.Cleanup(s.Close)
	return s
}

// offline is a cause of being offline, and its end.
type offline struct {
	cause  string
	target string // the host, netns.PeerIPv4 if empty
	phase  holdfast.Phase
	is     error // the cause in the DialError; nil says nothing
	begin  func(t *testing.T, p *netns.Pair)
	end    func(t *testing.T, p *netns.Pair)
}

var offlines = []offline{
	{cause: "no route", target: far4, is: unix.ENETUNREACH,
		begin: func(*testing.T, *netns.Pair) {},
		end:   func(t *testing.T, p *netns.Pair) { p.Here.AddRoute(t, toFar4) }},
	{cause: "no route, IPv6", target: far6, is: unix.ENETUNREACH,
		begin: func(*testing.T, *netns.Pair) {},
		end:   func(t *testing.T, p *netns.Pair) { p.Here.AddRoute(t, toFar6) }},
	{cause: "link down", is: unix.ENETUNREACH,
		begin: func(t *testing.T, p *netns.Pair) { p.Here.SetUp(t, netns.Device, false) },
		end:   func(t *testing.T, p *netns.Pair) { p.Here.SetUp(t, netns.Device, true) }},
	{cause: "address gone", is: unix.ENETUNREACH,
		begin: func(t *testing.T, p *netns.Pair) { p.Here.DelAddr(t, netns.Device, hereIPv4) },
		end:   func(t *testing.T, p *netns.Pair) { p.Here.AddAddr(t, netns.Device, hereIPv4) }},
	{cause: "carrier lost", begin: unplug, end: plug},
	{cause: "carrier lost, by name", target: "server.test", phase: holdfast.PhaseResolve,
		begin: func(t *testing.T, p *netns.Pair) {
			netns.Resolvers(t, netns.PeerIPv4)
			nameServer(t, p.ListenPacket(t, "udp", netns.PeerIPv4+":53"), dnsmessage.RCodeSuccess, netip.MustParseAddr(netns.PeerIPv4))
			unplug(t, p)
		}, end: plug},
}

// unplug takes this end's carrier away, which the kernel may tell a second late.
func unplug(t *testing.T, p *netns.Pair) {
	t.Helper()
	p.Peer.SetUp(t, netns.Device, false)
	p.Here.WaitRunning(t, netns.Device, false)
}

func plug(t *testing.T, p *netns.Pair) {
	t.Helper()
	p.Peer.SetUp(t, netns.Device, true)
}

// Offline is waited for without a dial; one that is made all the same is
// explained, costs nothing, and the end of it brings the link up.
func TestFailuresOffline(t *testing.T) {
	for _, x := range offlines {
		t.Run(x.cause, func(t *testing.T) {
			t.Parallel() // each has a namespace of its own
			netns.Run(t, x.check)
		})
	}
}

func (x offline) check(t *testing.T) {
	p := netns.NewPair(t)
	if x.target == "" {
		x.target = netns.PeerIPv4
	}
	if x.phase == 0 {
		x.phase = holdfast.PhaseConnect
	}
	p.Peer.AddAddr(t, "lo", far4+"/32")
	p.Peer.AddAddr(t, "lo", far6+"/128")
	s := holdfasttest.NewServer(p.Listen(t, "tcp", ":8080"))
	t.Cleanup(s.Close)
	x.begin(t, p)

	o := failureOptions()
	o.Background = true
	o.HandshakeTimeout = short
	o.Retry = holdfast.RetryPolicy{InitialDelay: time.Millisecond} // the first packets after the end may be lost
	r := record(t, o)
	target := net.JoinHostPort(x.target, "8080")
	c, err := holdfast.Dial(t.Context(), plant(t, "ws://"+target+"/stream"), o)
	require.NoError(t, err)
	defer c.CloseNow()
	assert.Equal(t, holdfast.StateOffline, r.await(holdfast.EventOffline, 1).State)
	assert.Equal(t, holdfast.StateOffline, c.State())
	assert.Zero(t, c.Stats().Attempts, "no dial while offline")

	for n := 2; len(r.of(holdfast.EventAttemptFailed)) == 0; n++ {
		c.Reconnect() // which a change that comes late calls off
		r.await(holdfast.EventOffline, n)
	}
	failed := r.await(holdfast.EventAttemptFailed, 1)
	assert.Equal(t, holdfast.StateOffline, failed.State)
	var de *holdfast.DialError
	require.ErrorAs(t, failed.Err, &de)
	failure{phase: x.phase, class: holdfast.ClassOffline, decision: holdfast.DecisionRetry,
		hint: []string{"this host has no way to " + target + " now", "check cable, Wi-Fi, VPN and routes", "as soon as the network is back"},
		is:   x.is,
	}.describes(t, de)
	assert.Zero(t, c.Stats().ConsecutiveFailures)
	assert.Empty(t, r.decided(), "it is no failure, so nothing is to be decided")

	x.end(t, p)
	r.await(holdfast.EventOnline, 1)
	r.await(holdfast.EventConnected, 1)
	r.hidesSecrets()
}
