package netwatch

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	hostsPath      = "/etc/hosts"
	resolvConfPath = "/etc/resolv.conf"
)

// osSystem is Linux, through rtnetlink(7). Run on Linux 6.18, in network namespaces.
type osSystem struct{ interfaces }

// watch listens on a netlink socket. It needs no privilege.
func (osSystem) watch(changed, lost func()) (stop func(), err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := join(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "netlink") // non-blocking, so Close ends a Read
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := readEvents(file, changed); !errors.Is(err, os.ErrClosed) {
			lost()
		}
	}()
	return func() {
		file.Close()
		<-done
	}, nil
}

// join joins the groups one by one: gVisor has the links' alone. Without that
// one the socket is of no use, since a link that goes down, and a lost carrier,
// are told to no other.
func join(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.RTNLGRP_LINK); err != nil {
		return err
	}
	for _, group := range []int{unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE} {
		_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group)
	}
	return nil
}

// readEvents calls changed for the events that tell of a change, until r fails.
func readEvents(r io.Reader, changed func()) error {
	buf := make([]byte, 8<<10) // what does not fit is cut off and counts as a change
	for {
		n, err := r.Read(buf)
		switch {
		case errors.Is(err, unix.ENOBUFS): // the kernel had to drop events
			changed()
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil:
			return err
		case tellsChange(buf[:n]):
			changed()
		}
	}
}

// route asks the kernel with RTM_GETROUTE, which applies its rules and the
// user's id as a dial would, and then whether the link is running: after a lost
// carrier the route is still there.
func (osSystem) route(addr netip.Addr) route {
	zone, ok := zoneIndex(addr)
	if !ok {
		return route{kind: routeNone} // the link is gone
	}
	q, err := openQuery()
	if err != nil { // netlink is denied
		return udpRoute(addr, noRoute)
	}
	defer q.close()
	body, err := q.ask(routeRequest(addr, zone))
	switch {
	case errors.Is(err, unix.ENETUNREACH):
		// A dial's socket may be bound to another table (to a VRF, by its
		// control group), so a socket has the last word.
		return udpRoute(addr, noRoute)
	case errors.Is(err, unix.EOPNOTSUPP):
		// gVisor, which has no routes that forbid and says EHOSTUNREACH
		// where there is none; or a kernel without IPv6.
		return udpRoute(addr, func(err error) bool { return noRoute(err) || errors.Is(err, unix.EHOSTUNREACH) })
	case err != nil: // EHOSTUNREACH, EACCES and EINVAL come from routes that forbid
		return route{}
	}
	reply, ok := parseRoute(body)
	if !ok {
		return route{}
	}
	if reply.typ == unix.RTN_LOCAL {
		return route{kind: routeLocal}
	}
	r := route{kind: routeFound, source: reply.source}
	if reply.typ != unix.RTN_UNICAST || !reply.source.IsValid() {
		// Some kernels answer with the route that forbids, some leave the
		// source out: the socket tells the rest.
		if r = udpRoute(addr, noRoute); r.kind != routeFound {
			return r
		}
	}
	r.link = reply.link
	r.linkDown = reply.link != 0 && !q.running(reply.link)
	return r
}

// noRoute reports whether a local error means that there is no route: none in
// the table, no address to send from, or the whole protocol missing.
func noRoute(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)
}

// zoneIndex returns the link that an address's zone names, 0 if it has no zone.
func zoneIndex(addr netip.Addr) (index uint32, ok bool) {
	zone := addr.Zone()
	if zone == "" {
		return 0, true
	}
	if link, err := net.InterfaceByName(zone); err == nil {
		return uint32(link.Index), true
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	return uint32(n), err == nil
}

// query is a netlink socket for questions. One is opened for each check, which
// costs a few microseconds and leaves nothing open in between.
type query struct {
	fd  int
	seq uint32
	buf [1 << 10]byte // what is asked for stands at the beginning of an answer
}

func openQuery() (*query, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	// The kernel answers before the request returns; the limit is for what
	// claims to be one.
	limit := unix.Timeval{Usec: 100_000}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &query{fd: fd}, nil
}

func (q *query) close() { unix.Close(q.fd) }

// ask sends a request and returns the body of the answer, or the error in it. A
// long answer is cut off. The body holds until the next question.
func (q *query) ask(typ uint16, body []byte) ([]byte, error) {
	q.seq++
	if err := unix.Sendto(q.fd, request(typ, q.seq, body), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	for range 8 { // strays of an earlier question, signals
		n, _, err := unix.Recvfrom(q.fd, q.buf[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for m := range messages(q.buf[:n]) {
			if m.seq != q.seq {
				continue
			}
			if m.typ == unix.NLMSG_ERROR {
				return nil, errorOf(m.body)
			}
			return m.body, nil
		}
	}
	return nil, syscall.ETIMEDOUT
}

// running reports whether a link has IFF_RUNNING, true where that cannot be known.
func (q *query) running(link uint32) bool {
	body, err := q.ask(linkRequest(link))
	if errors.Is(err, unix.ENODEV) {
		return false
	}
	flags, ok := linkFlags(body)
	return err != nil || !ok || flags&unix.IFF_RUNNING != 0
}
