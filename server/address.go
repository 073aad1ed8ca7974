package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// clientAddr is what the limits by address count by; "" means that none holds.
func (s *Server) clientAddr(r *http.Request) string {
	if s.opts.ClientAddr != nil {
		if a := s.opts.ClientAddr(r); a != "" {
			return network(a)
		}
		return network(r.RemoteAddr)
	}
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if ip := a.Addr().Unmap(); err != nil || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		s.warnProxy.Do(func() {
			s.opts.Logger.Warn("holdfast: no limits by address for private peers, which may be a proxy; set Options.ClientAddr")
		})
		return ""
	}
	return network(r.RemoteAddr)
}

// network is the part of an address that one client has: all of an IPv4
// address, 64 bits of an IPv6 one. What is no address is taken as it is.
func network(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	ip, err := netip.ParseAddr(strings.Trim(addr, "[]"))
	if err != nil {
		return addr
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	p, _ := ip.Prefix(64)
	return p.String()
}
