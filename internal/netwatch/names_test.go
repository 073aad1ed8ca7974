package netwatch

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestLearnIsBounded(t *testing.T) {
	w := newWatcher(&fakeOS{})
	addr := netip.MustParseAddr("192.0.2.1")
	w.Learn("kept.example", addr)
	for i := range 10 * maxNames {
		w.Learn(fmt.Sprintf("n%d.example", i), addr)
		assert.NotEmpty(t, w.learned.get("kept.example"), "in use")
	}
	assert.Len(t, w.learned.names, maxNames)
	assert.Empty(t, w.learned.get("n0.example"))

	for range 3 * maxAddrsPerName {
		addr = addr.Next()
		w.Learn("kept.example", addr)
		w.Learn("kept.example", netip.MustParseAddr("192.0.2.1")) // learned anew each time
	}
	addrs := w.learned.get("kept.example")
	assert.Len(t, addrs, maxAddrsPerName)
	assert.Contains(t, addrs, addr)
	assert.Contains(t, addrs, netip.MustParseAddr("192.0.2.1"))
}

func TestLearnIgnores(t *testing.T) {
	w := newWatcher(&fakeOS{})
	w.Learn("192.0.2.1:80", netip.MustParseAddr("192.0.2.1"))
	w.Learn("example.com", netip.Addr{})
	w.Learn("", netip.MustParseAddr("192.0.2.1"))
	assert.Empty(t, w.learned.names)
}

func TestLongFileIsCutOff(t *testing.T) {
	path := writeFile(t, strings.Repeat("0.0.0.0 advertisement.example\n", maxFile/8)+"192.0.2.1 late.example\n")
	assert.Empty(t, hostsFile(path, "late.example"))
	assert.NotEmpty(t, hostsFile(path, "advertisement.example"))
}
