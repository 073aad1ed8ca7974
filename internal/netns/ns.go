//go:build linux

package netns

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// NS is a network namespace. It is a netlink socket made there, so its methods
// may be called on any goroutine. They end the test if the kernel refuses.
type NS struct {
	mu  sync.Mutex
	fd  int
	seq uint32
}

// Here returns the namespace that the test runs in.
func Here(t testing.TB) *NS {
	t.Helper()
	ns, err := open()
	if err != nil {
		t.Fatalf("netlink: %v", err)
	}
	t.Cleanup(ns.close)
	return ns
}

func open() (*NS, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &NS{fd: fd}, nil
}

func (ns *NS) close() { unix.Close(ns.fd) }

// SetUp takes a link up or down. A link that goes down loses its routes, of which
// only those to its own subnets come back by themselves, and its IPv6 addresses.
// When one end of a pair goes down the other loses its carrier, which the
// kernel may take a second to tell.
func (ns *NS) SetUp(t testing.TB, link string, up bool) {
	t.Helper()
	check(t, ns.setUp(link, up))
}

func (ns *NS) setUp(link string, up bool) error {
	m, err := ns.linkMessage(link)
	if err != nil {
		return err
	}
	if up {
		m.Flags = unix.IFF_UP
	}
	m.Change = unix.IFF_UP
	return ns.do(unix.RTM_NEWLINK, 0, encode(m))
}

// AddVeth makes two links that are the ends of one cable, both down. The second
// is in the namespace other, which may be ns itself.
func (ns *NS) AddVeth(t testing.TB, link string, other *NS, otherLink string) {
	t.Helper()
	peer := attr(encode(unix.IfInfomsg{}), unix.IFLA_IFNAME, text(otherLink))
	if other != ns {
		// The other namespace is found through its netlink socket.
		fd, err := unix.IoctlRetInt(other.fd, unix.SIOCGSKNS)
		check(t, err)
		defer unix.Close(fd)
		peer = attr(peer, unix.IFLA_NET_NS_FD, binary.NativeEndian.AppendUint32(nil, uint32(fd)))
	}
	const vethInfoPeer = 1 // VETH_INFO_PEER of linux/veth.h
	info := attr(nil, unix.IFLA_INFO_KIND, text("veth"))
	info = attr(info, unix.IFLA_INFO_DATA, attr(nil, vethInfoPeer, peer))
	ns.addLink(t, link, info)
}

func (ns *NS) addLink(t testing.TB, link string, info []byte) {
	t.Helper()
	m := attr(encode(unix.IfInfomsg{}), unix.IFLA_IFNAME, text(link))
	err := ns.do(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, attr(m, unix.IFLA_LINKINFO, info))
	if errors.Is(err, unix.EOPNOTSUPP) {
		unavailable(t, errors.New("the kernel does not have this kind of link"))
	}
	check(t, err)
}

// DelLink removes a link, and the other end of its cable with it.
func (ns *NS) DelLink(t testing.TB, link string) {
	t.Helper()
	m, err := ns.linkMessage(link)
	check(t, err)
	check(t, ns.do(unix.RTM_DELLINK, 0, encode(m)))
}

// AddAddr gives a link an address, such as "192.0.2.1/24". Its subnet is
// routed out by the link as soon as that is up.
func (ns *NS) AddAddr(t testing.TB, link, prefix string) {
	t.Helper()
	check(t, ns.addr(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, link, prefix))
}

// DelAddr takes an address from a link. The routes that need it go too, and when
// it is the first of its IPv4 subnet, usually the other addresses of that.
func (ns *NS) DelAddr(t testing.TB, link, prefix string) {
	t.Helper()
	check(t, ns.addr(unix.RTM_DELADDR, 0, link, prefix))
}

func (ns *NS) addr(typ, flags uint16, link, prefix string) error {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return err
	}
	index, err := ns.index(link)
	if err != nil {
		return err
	}
	m := encode(unix.IfAddrmsg{Family: family(p.Addr()), Prefixlen: uint8(p.Bits()), Flags: unix.IFA_F_NODAD, Index: uint32(index)})
	m = attr(m, unix.IFA_LOCAL, p.Addr().AsSlice())
	return ns.do(typ, flags, attr(m, unix.IFA_ADDRESS, p.Addr().AsSlice()))
}

// RouteType is what a route does.
type RouteType uint8

// The types of routes. All but Unicast forbid, each with its own error:
// EHOSTUNREACH, EACCES, EINVAL.
const (
	Unicast     RouteType = 0
	Unreachable RouteType = unix.RTN_UNREACHABLE
	Prohibit    RouteType = unix.RTN_PROHIBIT
	Blackhole   RouteType = unix.RTN_BLACKHOLE
)

// Route is a route of the main table. Empty fields are left out.
type Route struct {
	To   string // a prefix, such as "198.51.100.0/24" or "::/0"
	Via  string // the next hop's address
	Dev  string // the link
	Type RouteType
}

// AddRoute adds a route.
func (ns *NS) AddRoute(t testing.TB, r Route) {
	t.Helper()
	check(t, ns.route(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, r))
}

// DelRoute removes a route.
func (ns *NS) DelRoute(t testing.TB, r Route) {
	t.Helper()
	check(t, ns.route(unix.RTM_DELROUTE, 0, r))
}

func (ns *NS) route(typ, flags uint16, r Route) error {
	to, err := netip.ParsePrefix(r.To)
	if err != nil {
		return err
	}
	m := unix.RtMsg{Family: family(to.Addr()), Dst_len: uint8(to.Bits()), Table: unix.RT_TABLE_MAIN,
		Protocol: unix.RTPROT_STATIC, Type: uint8(r.Type)}
	if r.Type == Unicast {
		m.Type = unix.RTN_UNICAST
	}
	if r.Via == "" && r.Dev != "" {
		m.Scope = unix.RT_SCOPE_LINK
	}
	b := attr(encode(m), unix.RTA_DST, to.Masked().Addr().AsSlice())
	if r.Via != "" {
		via, err := netip.ParseAddr(r.Via)
		if err != nil {
			return err
		}
		b = attr(b, unix.RTA_GATEWAY, via.AsSlice())
	}
	if r.Dev != "" {
		index, err := ns.index(r.Dev)
		if err != nil {
			return err
		}
		b = attr(b, unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, uint32(index)))
	}
	return ns.do(typ, flags, b)
}

// Running reports whether a link is up and has its carrier.
func (ns *NS) Running(t testing.TB, link string) bool {
	t.Helper()
	_, flags, err := ns.link(link)
	check(t, err)
	return flags&unix.IFF_RUNNING != 0
}

// WaitRunning waits until Running says what is wanted: the kernel can tell a
// change of the carrier up to a second late. After 10 s it ends the test.
func (ns *NS) WaitRunning(t testing.TB, link string, want bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for ns.Running(t, link) != want {
		if time.Now().After(deadline) {
			t.Fatalf("link %s: running is still %v", link, !want)
		}
		time.Sleep(time.Millisecond)
	}
}

func (ns *NS) index(link string) (int32, error) {
	index, _, err := ns.link(link)
	return index, err
}

func (ns *NS) linkMessage(link string) (unix.IfInfomsg, error) {
	index, err := ns.index(link)
	return unix.IfInfomsg{Index: index}, err
}

func family(addr netip.Addr) uint8 {
	if addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("netlink: %v", err)
	}
}
