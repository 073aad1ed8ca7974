//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd || windows

package netwatch

import (
	"net"
	"net/netip"
)

// udpRoute asks for a route by connecting a UDP socket, which sends nothing.
// Its errors are the routing table's own, never a router's. noRoute tells those
// that mean that there is none.
func udpRoute(addr netip.Addr, noRoute func(error) bool) route {
	const discard = 9 // a port that nothing will be sent to
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, discard)))
	if err != nil {
		if noRoute(err) {
			return route{kind: routeNone}
		}
		return route{}
	}
	defer conn.Close()
	source := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	if source.WithZone("") == addr.WithZone("") {
		return route{kind: routeLocal}
	}
	return route{kind: routeFound, source: source}
}
