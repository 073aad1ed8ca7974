package netwatch

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

var (
	source4 = netip.MustParseAddr("192.0.2.1")
	source6 = netip.MustParseAddr("2001:db8::1")

	found4  = route{kind: routeFound, source: source4}
	found6  = route{kind: routeFound, source: source6}
	none    = route{kind: routeNone}
	policy  = route{kind: routeUnknown}
	local   = route{kind: routeLocal}
	carrier = route{kind: routeFound, source: source4, linkDown: true}
)

func from(source string) route {
	return route{kind: routeFound, source: netip.MustParseAddr(source)}
}

func TestCheckAddress(t *testing.T) {
	for _, test := range []struct {
		name, host string
		route      route
		want       transport.Reachability
	}{
		{"a route", "198.51.100.1", found4, transport.Reachable},
		{"with a port", "198.51.100.1:443", found4, transport.Reachable},
		{"IPv6", "2001:db8:1::1", found6, transport.Reachable},
		{"IPv6 with a port", "[2001:db8:1::1]:443", found6, transport.Reachable},
		{"IPv6 in brackets", "[2001:db8:1::1]", found6, transport.Reachable},
		{"IPv4 in IPv6", "::ffff:198.51.100.1", found4, transport.Reachable},
		{"no route", "198.51.100.1", none, transport.Unreachable},
		{"no route, private", "10.0.0.1:80", none, transport.Unreachable},
		{"no route, IPv6", "[2001:db8:1::1]:443", none, transport.Unreachable},
		{"a policy forbids", "198.51.100.1", policy, transport.ReachUnknown},
		{"an address of this host", "192.0.2.1:80", local, transport.Reachable},
		{"carrier lost", "198.51.100.1", carrier, transport.Unreachable},
		{"no source", "198.51.100.1", route{kind: routeFound}, transport.Unreachable},
		{"unspecified source", "198.51.100.1", from("0.0.0.0"), transport.Unreachable},
		{"link-local source", "2001:db8:1::1", from("fe80::1"), transport.Unreachable},
		{"link-local source, IPv4", "198.51.100.1", from("169.254.1.1"), transport.Unreachable},
		{"loopback source", "2001:db8:1::1", from("::1"), transport.Unreachable},
		{"link-local target and source", "fe80::2%eth0", from("fe80::1"), transport.Reachable},
		{"link-local target and source, IPv4", "169.254.1.2", from("169.254.1.1"), transport.Reachable},
		{"private source and target", "10.0.0.1", from("10.0.0.2"), transport.Reachable},
		{"loopback", "127.0.0.1:80", none, transport.ReachUnknown},
		{"loopback, IPv6", "[::1]:80", none, transport.ReachUnknown},
		{"loopback, another", "127.8.8.8", none, transport.ReachUnknown},
		{"unspecified", "0.0.0.0:80", none, transport.ReachUnknown},
		{"empty", "", none, transport.ReachUnknown},
		{"port alone", ":80", none, transport.ReachUnknown},
		{"localhost", "localhost:80", none, transport.ReachUnknown},
		{"localhost, written otherwise", "LocalHost.", none, transport.ReachUnknown},
		{"below localhost", "app.localhost", none, transport.ReachUnknown},
		{"unix socket", "/run/app.sock", none, transport.ReachUnknown},
		{"abstract unix socket", "@app", none, transport.ReachUnknown},
		{"unix URL", "unix:app.sock", none, transport.ReachUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, addr := splitHost(test.host)
			w := newWatcher(&fakeOS{routes: map[netip.Addr]route{addr: test.route}})
			assert.Equal(t, test.want, w.Check(t.Context(), test.host))
		})
	}
}

func TestCheckEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sys := &fakeOS{}
	assert.Equal(t, transport.ReachUnknown, newWatcher(sys).Check(ctx, "198.51.100.1"))
	assert.Empty(t, sys.asked)
}

func TestCheckOtherVersion(t *testing.T) {
	for _, test := range []struct {
		name, host string
		routes     map[netip.Addr]route
		want       transport.Reachability
	}{
		{"IPv4 server, IPv6 host", "198.51.100.1", map[netip.Addr]route{internet6: found6}, transport.ReachUnknown},
		{"IPv6 server, IPv4 host", "2001:db8:1::1", map[netip.Addr]route{internet4: found4}, transport.ReachUnknown},
		{"both without carrier", "2001:db8:1::1", map[netip.Addr]route{internet4: carrier}, transport.Unreachable},
		{"private IPv4 server", "10.0.0.1", map[netip.Addr]route{internet6: found6}, transport.Unreachable},
		{"private IPv6 server", "fd77::1", map[netip.Addr]route{internet4: found4}, transport.Unreachable},
		{"link-local server", "fe80::1%eth0", map[netip.Addr]route{internet4: found4}, transport.Unreachable},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, newWatcher(&fakeOS{routes: test.routes}).Check(t.Context(), test.host))
		})
	}
}

func TestCheckLearnedName(t *testing.T) {
	a, b, c := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8:1::1")
	for _, test := range []struct {
		name   string
		addrs  []netip.Addr
		routes map[netip.Addr]route
		want   transport.Reachability
	}{
		{"all without a route", []netip.Addr{a, b, c}, nil, transport.Unreachable},
		{"one with a route", []netip.Addr{a, b, c}, map[netip.Addr]route{b: found4}, transport.Reachable},
		{"one forbidden", []netip.Addr{a, b, c}, map[netip.Addr]route{b: policy}, transport.ReachUnknown},
		{"one forbidden, one with a route", []netip.Addr{a, b, c}, map[netip.Addr]route{a: policy, c: found6}, transport.Reachable},
		{"may have an IPv6 address too", []netip.Addr{a}, map[netip.Addr]route{internet6: found6}, transport.ReachUnknown},
		{"has both", []netip.Addr{a, c}, map[netip.Addr]route{internet6: found6}, transport.Unreachable},
		{"on this host", []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil, transport.ReachUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			sys := &fakeOS{routes: test.routes, up: true}
			w := newWatcher(sys)
			for _, addr := range test.addrs {
				w.Learn("Example.com.:443", addr)
			}
			assert.Equal(t, test.want, w.Check(t.Context(), "example.com:80"))
		})
	}
}

func TestCheckUnknownName(t *testing.T) {
	server := netip.MustParseAddr("192.0.2.53")
	online := map[netip.Addr]route{server: found4}
	for _, test := range []struct {
		name, host, resolvConf, hosts string
		routes                        map[netip.Addr]route
		connected                     bool
		want                          transport.Reachability
	}{
		{name: "name server within reach", resolvConf: "nameserver 192.0.2.53", routes: online, want: transport.ReachUnknown},
		{name: "name server out of reach", resolvConf: "nameserver 192.0.2.53", connected: true, want: transport.Unreachable},
		{name: "one of two within reach", resolvConf: "nameserver 10.0.0.1\nnameserver 192.0.2.53\n", routes: online, want: transport.ReachUnknown},
		{name: "comments", resolvConf: "# nameserver 192.0.2.53\n;nameserver 192.0.2.53\nnameserver 10.0.0.1 # one\n", routes: online, connected: true, want: transport.Unreachable},
		{name: "name server forbidden", resolvConf: "nameserver 192.0.2.53", routes: map[netip.Addr]route{server: policy}, want: transport.ReachUnknown},
		{name: "name server on this host, link up", resolvConf: "nameserver 127.0.0.53", connected: true, want: transport.ReachUnknown},
		{name: "name server on this host, no link", resolvConf: "nameserver 127.0.0.53", want: transport.Unreachable},
		{name: "a name server on this host too", resolvConf: "nameserver 10.0.0.1\nnameserver ::1", connected: true, want: transport.ReachUnknown},
		{name: "no name server, link up", resolvConf: "search example.com\nnameserver\nnameserver x\n", connected: true, want: transport.ReachUnknown},
		{name: "no name server, no link", want: transport.Unreachable},
		{name: "multicast DNS", host: "printer.local:80", resolvConf: "nameserver 10.0.0.1", connected: true, want: transport.ReachUnknown},
		{name: "multicast DNS, no link", host: "printer.local:80", want: transport.Unreachable},
		{name: "in the hosts file, this host", hosts: "::1 localhost\n127.0.0.1 other example.com # mine\n", want: transport.ReachUnknown},
		{name: "in the hosts file, with a route", hosts: "192.0.2.53\tEXAMPLE.com", routes: online, want: transport.Reachable},
		{name: "in the hosts file, without a route", hosts: "192.0.2.53 example.com", want: transport.Unreachable},
		{name: "not in the hosts file", hosts: "192.0.2.53 example.org\nexample.com\n# 127.0.0.1 example.com", want: transport.Unreachable},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWatcher(&fakeOS{routes: test.routes, up: test.connected})
			w.resolvConf, w.hosts = writeFile(t, test.resolvConf), writeFile(t, test.hosts)
			host := test.host
			if host == "" {
				host = "example.com:443"
			}
			assert.Equal(t, test.want, w.Check(t.Context(), host))
		})
	}
}

func TestCheckWithoutFiles(t *testing.T) {
	w := newWatcher(&fakeOS{up: true})
	w.resolvConf, w.hosts = "/does/not/exist", "/does/not/exist"
	assert.Equal(t, transport.ReachUnknown, w.Check(t.Context(), "example.com"))
}

func TestHasAddr(t *testing.T) {
	sys := &fakeOS{routes: map[netip.Addr]route{netip.MustParseAddr("198.51.100.7"): local}}
	sys.setAddrs("127.0.0.1", "192.0.2.1", "fe80::1")
	w := newWatcher(sys)
	for addr, want := range map[string]bool{
		"192.0.2.1":        true,
		"::ffff:192.0.2.1": true,
		"fe80::1%eth0":     true,
		"192.0.2.2":        false,
		"2001:db8::1":      false,
		"198.51.100.7":     true, // a local route
		"127.0.0.2":        true,
		"::1":              true,
	} {
		assert.Equal(t, want, w.HasAddr(netip.MustParseAddr(addr)), addr)
	}
	assert.True(t, w.HasAddr(netip.Addr{}))
	sys.hidden = true
	assert.True(t, w.HasAddr(netip.MustParseAddr("192.0.2.2")), "cannot be known")
}

func TestSystem(t *testing.T) {
	require.Same(t, System(), System())
	assert.NotEqual(t, transport.Unreachable, System().Check(t.Context(), "127.0.0.1:80"))
	assert.True(t, System().HasAddr(netip.MustParseAddr("127.0.0.1")))
}
