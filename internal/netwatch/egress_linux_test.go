package netwatch

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/netns"
)

func TestNamespaceEgress(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		p := netns.NewPair(t)
		here := p.Here
		here.SetUp(t, "lo", true)
		const other, otherEnd, otherAddr = "wlan0", "wlan1", "10.78.0.1"
		here.AddVeth(t, other, here, otherEnd)
		for _, end := range []string{other, otherEnd} {
			here.SetUp(t, end, true)
		}
		here.AddAddr(t, other, otherAddr+"/16") // longer than the prefix that is told
		for _, end := range []string{other, otherEnd} {
			here.WaitRunning(t, end, true)
		}
		here.AddAddr(t, netns.Device, "fe80::7/64") // its own may come a little later
		const net4, net6, otherNet = "10.77.0.0/24", "fd77::/64", "10.78.0.0/24"

		w := osWatcher()
		w.Learn("known.example", netip.MustParseAddr(far4))
		expect := func(host, egress, prefix string) {
			t.Helper()
			e, p := w.Egress(host)
			assert.Equal(t, [2]string{egress, prefix}, [2]string{e, p}, host)
		}
		expect(netns.PeerIPv4+":80", netns.Device, net4)
		expect("["+netns.PeerIPv6+"]:80", netns.Device, net6)
		expect("10.78.9.9", other, otherNet)
		expect(netns.HereIPv4, "lo", "")
		expect(otherAddr, "lo", "")
		expect("known.example:443", "", "")
		expect("fe80::77%"+netns.Device, netns.Device, "fe80::/64")

		here.AddRoute(t, toFar4)
		expect("known.example:443", netns.Device, net4)
		here.DelRoute(t, toFar4)
		here.AddRoute(t, netns.Route{To: "198.51.100.0/24", Dev: other})
		expect("known.example:443", other, otherNet)
		expect(far4, other, otherNet)

		// What other systems do: the link is found by the source address.
		for addr, want := range map[string]string{netns.PeerIPv4: netns.Device, netns.PeerIPv6: netns.Device, far4: other} {
			r := udpRoute(netip.MustParseAddr(addr), noRoute)
			require.Zero(t, r.link)
			assert.Equal(t, want, osSystem{}.device(r), addr)
		}

		here.SetUp(t, otherEnd, false)
		here.WaitRunning(t, other, false)
		expect(far4, "", "")
		here.SetUp(t, netns.Device, false)
		expect(netns.PeerIPv4, "", "")
		expect("localhost:80", "lo", "")
	})
}
