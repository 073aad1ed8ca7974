package netwatch

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeOS is a system that the test sets. Its zero value has no routes, no
// addresses and no running link.
type fakeOS struct {
	mu       sync.Mutex
	routes   map[netip.Addr]route
	asked    []netip.Addr
	devices  map[netip.Addr]string // by a route's source
	list     []netip.Addr
	hidden   bool // addrs cannot be known
	up       bool
	watchErr error
	starts   int
	watching int
	changed  func()
	lost     func()
}

func (f *fakeOS) watch(changed, lost func()) (func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts++
	if f.watchErr != nil {
		return nil, f.watchErr
	}
	f.watching++
	f.changed, f.lost = changed, lost
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watching--
	}, nil
}

func (f *fakeOS) route(addr netip.Addr) route {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, addr)
	if r, ok := f.routes[addr]; ok {
		return r
	}
	return route{kind: routeNone}
}

func (f *fakeOS) device(r route) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.devices[r.source]
}

func (f *fakeOS) addrs() ([]netip.Addr, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list), !f.hidden
}

func (f *fakeOS) connected() bool { return f.up }

func (f *fakeOS) setAddrs(addrs ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = nil
	for _, a := range addrs {
		f.list = append(f.list, netip.MustParseAddr(a))
	}
}

func (f *fakeOS) counts() (starts, watching int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.starts, f.watching
}

// newWatcher's clock stands still, and it has no files.
func newWatcher(sys system) *Watcher {
	return &Watcher{sys: sys, clock: func() time.Duration { return 0 }}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
