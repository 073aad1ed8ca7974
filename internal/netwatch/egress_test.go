//go:build !js

package netwatch

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestEgress(t *testing.T) {
	a := netip.MustParseAddr
	routes := map[netip.Addr]route{
		a("198.51.100.1"):  found4,
		a("2001:db8:1::1"): found6,
		a("192.0.2.1"):     local,
		a("198.51.100.2"):  carrier,
		a("198.51.100.3"):  policy,
		a("198.51.100.4"):  from("169.254.1.1"),
		a("198.51.100.5"):  {kind: routeFound},
		a("198.51.100.6"):  from("203.0.113.200"), // a link that nothing is known of
		a("fe80::2%eth0"):  from("fe80::1%eth0"),
	}
	devices := map[netip.Addr]string{source4: "eth0", source6: "wlan0", a("fe80::1%eth0"): "eth0"}
	for host, want := range map[string][2]string{
		"198.51.100.1":            {"eth0", "192.0.2.0/24"},
		"198.51.100.1:443":        {"eth0", "192.0.2.0/24"},
		"::ffff:198.51.100.1":     {"eth0", "192.0.2.0/24"},
		"[2001:db8:1::1]:443":     {"wlan0", "2001:db8::/64"},
		"[fe80::2%eth0]:443":      {"eth0", "fe80::/64"},
		"192.0.2.1:80":            {"lo", ""},
		"127.0.0.1:80":            {"lo", ""},
		"127.8.8.8":               {"lo", ""},
		"[::1]:80":                {"lo", ""},
		"0.0.0.0:80":              {"lo", ""},
		"localhost:80":            {"lo", ""},
		"app.LocalHost.":          {"lo", ""},
		":80":                     {"lo", ""},
		"198.51.100.2":            {"", ""},
		"198.51.100.3":            {"", ""},
		"198.51.100.4":            {"", ""},
		"198.51.100.5":            {"", ""},
		"198.51.100.6":            {"", "203.0.113.0/24"},
		"203.0.113.1":             {"", ""},
		"/run/app.sock":           {"", ""},
		"unix:app.sock":           {"", ""},
		"example.com:443":         {"eth0", "192.0.2.0/24"}, // of several addresses
		"unknown.example.com:443": {"", ""},
		"nowhere.example.com":     {"", ""},
	} {
		w := newWatcher(&fakeOS{routes: routes, devices: devices, up: true})
		w.hosts = writeFile(t, "198.51.100.1 unknown.example.com")
		w.Learn("example.com", a("2001:db8:1::1"))
		w.Learn("Example.com.", a("198.51.100.1"))
		w.Learn("example.com", a("203.0.113.1")) // learned last, without a way
		w.Learn("nowhere.example.com", a("203.0.113.1"))
		egress, prefix := w.Egress(host)
		assert.Equal(t, want, [2]string{egress, prefix}, host)
	}
}

func TestEgressOfNameAsksOnlyTheRoutingTable(t *testing.T) {
	sys := &fakeOS{}
	w := newWatcher(sys)
	w.resolvConf = writeFile(t, "nameserver 192.0.2.53")
	w.Egress("example.com")
	assert.Empty(t, sys.asked)
	w.Learn("example.com", source4)
	w.Egress("example.com")
	assert.Equal(t, []netip.Addr{source4}, sys.asked)
}

func TestSystemEgress(t *testing.T) {
	egress, prefix := System().Egress("127.0.0.1:80")
	assert.Equal(t, [2]string{"lo", ""}, [2]string{egress, prefix})
}
