package netwatch

import (
	"net"
	"net/netip"
	"runtime"
	"slices"
)

// interfaces answers addrs, connected and device through package net.
type interfaces struct{}

func (interfaces) addrs() (list []netip.Addr, ok bool) {
	all, err := net.InterfaceAddrs()
	if err != nil || runtime.GOARCH == "wasm" { // where there are none to see, and no error

		return nil, false
	}
	for _, a := range all {
		if addr := addrOf(a); addr.IsValid() {
			list = append(list, addr)
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list, true
}

func (i interfaces) connected() bool {
	// One question for all addresses first: an interface at a time is slow
	// on hosts that have hundreds.
	if list, ok := i.addrs(); ok && !slices.ContainsFunc(list, beyondLink) {
		return false
	}
	links, err := net.Interfaces()
	if err != nil || len(links) == 0 {
		return true
	}
	for _, link := range links {
		if link.Flags&net.FlagLoopback != 0 || link.Flags&net.FlagUp == 0 || link.Flags&net.FlagRunning == 0 {
			continue
		}
		addrs, err := link.Addrs()
		if err != nil || slices.ContainsFunc(addrs, func(a net.Addr) bool { return beyondLink(addrOf(a)) }) {
			return true
		}
	}
	return false
}

// device finds a link by its index or, where a route does not tell it, by the
// source address.
func (interfaces) device(r route) string {
	if r.link != 0 {
		link, err := net.InterfaceByIndex(int(r.link))
		if err != nil {
			return ""
		}
		return link.Name
	}
	source := r.source.WithZone("")
	links, err := net.Interfaces()
	if err != nil || !source.IsValid() {
		return ""
	}
	for _, link := range links {
		addrs, err := link.Addrs()
		if err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool { return addrOf(a) == source }) &&
			(r.source.Zone() == "" || r.source.Zone() == link.Name) {
			return link.Name
		}
	}
	return ""
}

func addrOf(a net.Addr) netip.Addr {
	if n, ok := a.(*net.IPNet); ok {
		addr, _ := netip.AddrFromSlice(n.IP)
		return addr.Unmap()
	}
	return netip.Addr{}
}

func beyondLink(addr netip.Addr) bool {
	return addr.IsValid() && !addr.IsLoopback() && !addr.IsLinkLocalUnicast()
}
