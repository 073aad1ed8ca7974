package memnet

import (
	"net"
	"net/netip"
	"strconv"
)

// firstPort begins the range that port numbers are taken from in turn.
const firstPort = 20000

func (n *Network) nextPort() int {
	if n.port++; n.port > 65535 {
		n.port = firstPort
	}
	return n.port
}

// localIP is the dialing end's address: 127.0.0.1 or ::1 for loopback,
// 192.0.2.1 or 2001:db8::1 for everything else.
func localIP(to *net.TCPAddr) net.IP {
	four := to.IP.To4() != nil
	switch {
	case to.IP.IsLoopback() && four:
		return net.IPv4(127, 0, 0, 1)
	case to.IP.IsLoopback():
		return net.IPv6loopback
	case four:
		return net.IPv4(192, 0, 2, 1)
	}
	return net.ParseIP("2001:db8::1")
}

// names maps host names to addresses of 198.18.0.0/15, in the order in which
// they are first used.
type names map[string]netip.Addr

func (t *names) resolve(addr string) (*net.TCPAddr, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, &net.AddrError{Err: "invalid port", Addr: addr}
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.lookup(host), uint16(p))), nil
}

func (t *names) lookup(host string) netip.Addr {
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		return ip.Unmap()
	} else if err == nil && ip.Is6() {
		return netip.IPv6Loopback()
	} else if err == nil || host == "" || host == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if *t == nil {
		*t = names{}
	}
	ip, ok := (*t)[host]
	if !ok {
		i := len(*t) + 1
		ip = netip.AddrFrom4([4]byte{198, 18 + byte(i>>16&1), byte(i >> 8), byte(i)})
		(*t)[host] = ip
	}
	return ip
}
