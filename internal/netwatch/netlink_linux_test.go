package netwatch

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func event(typ uint16, body []byte) []byte { return request(typ, 0, body) }

func routeBody(flags uint32, attrs ...byte) []byte {
	body := make([]byte, unix.SizeofRtMsg)
	binary.NativeEndian.PutUint32(body[8:], flags)
	return append(body, attrs...)
}

func linkBody(attrs ...byte) []byte { return append(make([]byte, unix.SizeofIfInfomsg), attrs...) }

func TestTellsChange(t *testing.T) {
	cached := event(unix.RTM_NEWROUTE, routeBody(unix.RTM_F_CLONED))
	wireless := event(unix.RTM_NEWLINK, linkBody(appendAttr(appendAttr(nil, unix.IFLA_IFNAME, []byte("w0\x00")), unix.IFLA_WIRELESS, []byte{1})...))
	up := event(unix.RTM_NEWLINK, linkBody(appendAttr(nil, unix.IFLA_IFNAME, []byte("eth0\x00"))...))
	for _, test := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"link", up, true},
		{"link removed", event(unix.RTM_DELLINK, linkBody()), true},
		{"address", event(unix.RTM_NEWADDR, nil), true},
		{"address removed", event(unix.RTM_DELADDR, nil), true},
		{"route", event(unix.RTM_NEWROUTE, routeBody(0)), true},
		{"route removed", event(unix.RTM_DELROUTE, routeBody(0)), true},
		{"cached route", cached, false},
		{"scan", wireless, false},
		{"neighbour", event(unix.RTM_NEWNEIGH, nil), false},
		{"done", event(unix.NLMSG_DONE, nil), false},
		{"second of two", append(append([]byte{}, cached...), up...), true},
		{"cut off", up[:len(up)-3], true},
		{"cut off, scan", wireless[:len(wireless)-3], true},
		{"nothing readable", []byte{1, 2, 3}, true},
	} {
		assert.Equal(t, test.want, tellsChange(test.b), test.name)
	}
}

// script is a socket that gives prepared answers.
type script []func([]byte) (int, error)

func (s *script) Read(b []byte) (int, error) {
	if len(*s) == 0 {
		return 0, os.ErrClosed
	}
	next := (*s)[0]
	*s = (*s)[1:]
	return next(b)
}

func TestReadEventsGoesOn(t *testing.T) {
	fail := func(err error) func([]byte) (int, error) {
		return func([]byte) (int, error) { return 0, &os.PathError{Op: "read", Path: "netlink", Err: err} }
	}
	give := func(e []byte) func([]byte) (int, error) {
		return func(b []byte) (int, error) { return copy(b, e), nil }
	}
	changes := 0
	r := &script{
		fail(unix.ENOBUFS), // a change
		fail(unix.EINTR),
		give(event(unix.RTM_NEWNEIGH, nil)),
		give(event(unix.RTM_NEWADDR, nil)), // a change
	}
	assert.ErrorIs(t, readEvents(r, func() { changes++ }), os.ErrClosed)
	assert.Equal(t, 2, changes)

	r = &script{fail(unix.EIO)}
	assert.ErrorIs(t, readEvents(r, func() {}), unix.EIO)
}

func TestParseRoute(t *testing.T) {
	attrs := appendAttr(nil, unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, 7))
	attrs = appendAttr(attrs, unix.RTA_PREFSRC, []byte{192, 0, 2, 1})
	body := routeBody(0, attrs...)
	body[7] = unix.RTN_UNICAST
	r, ok := parseRoute(body)
	require.True(t, ok)
	assert.Equal(t, routeReply{typ: unix.RTN_UNICAST, link: 7, source: netip.MustParseAddr("192.0.2.1")}, r)

	_, ok = parseRoute(body[:unix.SizeofRtMsg-1])
	assert.False(t, ok)
	r, ok = parseRoute(body[:len(body)-1])
	assert.True(t, ok)
	assert.False(t, r.source.IsValid(), "cut off")
}

func TestErrorOf(t *testing.T) {
	minus := func(errno unix.Errno) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))) }
	assert.Equal(t, unix.ENETUNREACH, errorOf(minus(unix.ENETUNREACH)))
	assert.Error(t, errorOf(minus(0)))
	assert.Error(t, errorOf(nil))
}

// skip is for what a machine may not allow, unless REQUIRE_NETNS=1 says that it does.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_NETNS") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func TestQueryOfLoopback(t *testing.T) {
	q, err := openQuery()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		skip(t, "netlink is denied")
	}
	require.NoError(t, err)
	defer q.close()
	_, err = q.ask(linkRequest(1 << 30))
	assert.ErrorIs(t, err, unix.ENODEV)
	assert.False(t, q.running(1<<30))
}

func TestJoinsAllGroups(t *testing.T) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		skip(t, "netlink is denied")
	}
	defer unix.Close(fd)
	require.NoError(t, join(fd))
	bits, err := unix.GetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_LIST_MEMBERSHIPS)
	if err != nil {
		skip(t, "the kernel does not list memberships")
	}
	want := 0
	for _, group := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE} {
		want |= 1 << (group - 1)
	}
	assert.Equal(t, want, bits)
}

func FuzzNetlink(f *testing.F) {
	f.Add(event(unix.RTM_NEWLINK, linkBody(appendAttr(nil, unix.IFLA_WIRELESS, []byte{1})...)))
	f.Add(event(unix.RTM_NEWROUTE, routeBody(unix.RTM_F_CLONED, appendAttr(nil, unix.RTA_OIF, []byte{1, 0, 0, 0})...)))
	f.Add(event(unix.NLMSG_ERROR, []byte{0x9b, 0xff, 0xff, 0xff}))
	f.Add([]byte{17, 0, 0, 0, 16, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		tellsChange(b)
		_ = readEvents(&script{func(p []byte) (int, error) { return copy(p, b), nil }}, func() {})
		total := 0
		for m := range messages(b) {
			total += headerLen + len(m.body)
			parseRoute(m.body)
			linkFlags(m.body)
			if errorOf(m.body) == nil {
				t.Error("an error that is none")
			}
		}
		if total > len(b) {
			t.Errorf("%d bytes out of %d", total, len(b))
		}
		for _, v := range attributes(b) {
			if len(v) > len(b)-attrLen {
				t.Errorf("an attribute of %d bytes out of %d", len(v), len(b))
			}
		}
	})
}

func BenchmarkRoute(b *testing.B) {
	for _, bench := range []struct {
		name  string
		route func(netip.Addr) route
	}{
		{"netlink", osSystem{}.route},
		{"udp", func(a netip.Addr) route { return udpRoute(a, noRoute) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.route(internet4)
			}
		})
	}
}
