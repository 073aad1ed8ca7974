package netwatch

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Netlink messages and their attributes, in the host's byte order and padded to
// four bytes: netlink(7), rtnetlink(7). The parsers take any bytes.

const (
	headerLen = unix.SizeofNlMsghdr
	attrLen   = unix.SizeofRtAttr
)

func align(n int) int { return (n + 3) &^ 3 }

type message struct {
	typ  uint16
	seq  uint32
	body []byte
	cut  bool // the body is not all there
}

// messages yields the messages in b. The last one may be cut; what is shorter
// than a header is left out.
func messages(b []byte) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(b) >= headerLen {
			n := int(binary.NativeEndian.Uint32(b))
			if n < headerLen {
				return
			}
			m := message{typ: binary.NativeEndian.Uint16(b[4:]), seq: binary.NativeEndian.Uint32(b[8:])}
			m.cut = n > len(b)
			m.body = b[headerLen:min(n, len(b))]
			if !yield(m) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

// attributes yields the types and values in b up to the first that does not fit.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= attrLen {
			n := int(binary.NativeEndian.Uint16(b))
			if n < attrLen || n > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:]), b[attrLen:n]) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

// tellsChange reports whether one of the messages tells of a change of links,
// addresses or routes. What cannot be read does.
func tellsChange(b []byte) bool {
	if len(b) < headerLen {
		return true
	}
	for m := range messages(b) {
		switch m.typ {
		case unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_DELLINK, unix.NLMSG_OVERRUN:
			return true
		case unix.RTM_NEWLINK:
			if m.cut || !isWirelessEvent(m.body) {
				return true
			}
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			if m.cut || !isCachedRoute(m.body) {
				return true
			}
		}
	}
	return false
}

// isWirelessEvent knows the messages that some drivers send at each scan.
func isWirelessEvent(body []byte) bool {
	if len(body) < unix.SizeofIfInfomsg {
		return false
	}
	for typ := range attributes(body[unix.SizeofIfInfomsg:]) {
		if typ == unix.IFLA_WIRELESS {
			return true
		}
	}
	return false
}

// isCachedRoute knows routes that the kernel made for one destination, such as
// for its path MTU.
func isCachedRoute(body []byte) bool {
	return len(body) >= unix.SizeofRtMsg && binary.NativeEndian.Uint32(body[8:])&unix.RTM_F_CLONED != 0
}

type routeReply struct {
	typ    uint8
	link   uint32     // 0 if there is none
	source netip.Addr // invalid if there is none
}

func parseRoute(body []byte) (r routeReply, ok bool) {
	if len(body) < unix.SizeofRtMsg {
		return r, false
	}
	r.typ = body[7]
	for typ, value := range attributes(body[unix.SizeofRtMsg:]) {
		switch typ {
		case unix.RTA_OIF:
			if len(value) == 4 {
				r.link = binary.NativeEndian.Uint32(value)
			}
		case unix.RTA_PREFSRC:
			source, _ := netip.AddrFromSlice(value)
			r.source = source.Unmap()
		}
	}
	return r, true
}

func linkFlags(body []byte) (flags uint32, ok bool) {
	if len(body) < unix.SizeofIfInfomsg {
		return 0, false
	}
	return binary.NativeEndian.Uint32(body[8:]), true
}

// errorOf reads the body of an NLMSG_ERROR.
func errorOf(body []byte) error {
	if len(body) < 4 {
		return unix.EBADMSG
	}
	if errno := int32(binary.NativeEndian.Uint32(body)); errno < 0 {
		return syscall.Errno(-int64(errno))
	}
	return unix.EBADMSG // an acknowledgement, which nobody asked for
}

func request(typ uint16, seq uint32, body []byte) []byte {
	b := make([]byte, headerLen, headerLen+len(body))
	binary.NativeEndian.PutUint32(b, uint32(headerLen+len(body)))
	binary.NativeEndian.PutUint16(b[4:], typ)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[8:], seq)
	return append(b, body...)
}

// routeRequest asks for the route to addr, out by link unless that is 0.
func routeRequest(addr netip.Addr, link uint32) (typ uint16, body []byte) {
	body = make([]byte, unix.SizeofRtMsg, 64)
	body[0] = unix.AF_INET
	if addr.Is6() {
		body[0] = unix.AF_INET6
	}
	body[1] = uint8(addr.BitLen())
	body = appendAttr(body, unix.RTA_DST, addr.AsSlice())
	if link != 0 {
		body = appendAttr(body, unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, link))
	}
	return unix.RTM_GETROUTE, body
}

func linkRequest(link uint32) (typ uint16, body []byte) {
	body = make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], link)
	return unix.RTM_GETLINK, body
}

func appendAttr(b []byte, typ uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(attrLen+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
