//go:build linux

package netns

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// do sends a request and waits for the kernel's acknowledgement.
func (ns *NS) do(typ, flags uint16, body []byte) error {
	_, err := ns.ask(typ, flags|unix.NLM_F_ACK, body)
	return err
}

// link returns the index and the flags of a link.
func (ns *NS) link(name string) (index int32, flags uint32, err error) {
	body, err := ns.ask(unix.RTM_GETLINK, 0, attr(encode(unix.IfInfomsg{}), unix.IFLA_IFNAME, text(name)))
	if err != nil {
		return 0, 0, fmt.Errorf("link %s: %w", name, err)
	}
	if len(body) < unix.SizeofIfInfomsg {
		return 0, 0, fmt.Errorf("link %s: %w", name, unix.EBADMSG)
	}
	return int32(binary.NativeEndian.Uint32(body[4:])), binary.NativeEndian.Uint32(body[8:]), nil
}

// ask sends a request and returns the body of the answer to it.
func (ns *NS) ask(typ, flags uint16, body []byte) ([]byte, error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.seq++
	request := append(encode(unix.NlMsghdr{Len: uint32(unix.SizeofNlMsghdr + len(body)), Type: typ,
		Flags: flags | unix.NLM_F_REQUEST, Seq: ns.seq}), body...)
	if err := unix.Sendto(ns.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	answer := make([]byte, 16<<10)
	for {
		n, _, err := unix.Recvfrom(ns.fd, answer, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint32(answer[8:]) != ns.seq {
			continue
		}
		body := answer[unix.SizeofNlMsghdr:n]
		if binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
			return body, nil
		}
		if errno := int32(binary.NativeEndian.Uint32(body)); errno != 0 {
			return nil, syscall.Errno(-errno)
		}
		return nil, nil
	}
}

func encode(v any) []byte {
	b, err := binary.Append(nil, binary.NativeEndian, v)
	if err != nil {
		panic(err) // the structs of netlink have fixed sizes
	}
	return b
}

func attr(b []byte, typ uint16, value []byte) []byte {
	b = append(b, encode(unix.RtAttr{Len: uint16(unix.SizeofRtAttr + len(value)), Type: typ})...)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func text(s string) []byte { return append([]byte(s), 0) }
