package holdfasttest

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast/transport"
)

// What holdfast.Network and its optional part ask for.
var _ interface {
	Check(ctx context.Context, host string) transport.Reachability
	Changes(ctx context.Context) <-chan struct{}
	HasAddr(addr netip.Addr) bool
} = NewNetwork()

func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		ctx, cancel := context.WithCancel(t.Context())
		one, two := n.Changes(ctx), n.Changes(t.Context())
		signalled := func() int {
			count := 0
			for _, ch := range []<-chan struct{}{one, two} {
				select {
				case <-ch:
					count++
				default:
				}
			}
			return count
		}
		check := func() int { return int(n.Check(ctx, "host:80")) }

		assert.Equal(t, 1, check())
		n.SetOnline(true)
		assert.Equal(t, 0, signalled(), "no change")
		n.SetOnline(false)
		assert.Equal(t, 2, signalled())
		assert.Equal(t, 2, check())
		n.SetOnline(true)
		n.Signal() // one value stands for both
		assert.Equal(t, 2, signalled())
		assert.Equal(t, 0, signalled())
		assert.Equal(t, 1, check())
		assert.Equal(t, 3, n.Checks())

		addr := netip.MustParseAddr("192.0.2.1")
		assert.True(t, n.HasAddr(addr))
		n.RemoveAddr(netip.MustParseAddr("::ffff:192.0.2.1"))
		assert.Equal(t, 2, signalled())
		assert.False(t, n.HasAddr(addr))
		n.RestoreAddr(addr)
		assert.Equal(t, 2, signalled())
		assert.True(t, n.HasAddr(addr))

		cancel()
		synctest.Wait()
		n.Signal()
		assert.Equal(t, 1, signalled(), "one has ended")
		assert.Len(t, n.watchers, 1)
	})
}

func TestNetworkByHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		changes := n.Changes(t.Context())
		signalled := func() bool {
			select {
			case <-changes:
				return true
			default:
				return false
			}
		}
		check := func(host string) bool { return n.Check(t.Context(), host) == transport.Reachable }

		n.SetHostOnline("api.example", false)
		assert.True(t, signalled())
		assert.False(t, check("API.example:443"))
		assert.False(t, check("api.example"))
		assert.True(t, check("other.example:443"))
		n.SetHostOnline("Api.Example:443", true)
		assert.True(t, signalled())
		assert.True(t, check("api.example:443"), "the port alone")
		assert.False(t, check("api.example:80"))
		n.SetHostOnline("api.example:443", true)
		assert.False(t, signalled(), "no change")
		n.SetHostOnline("2001:db8::1", false)
		assert.False(t, check("[2001:db8::1]:80"))

		signalled()
		n.SetOnline(true)
		assert.True(t, signalled(), "hosts are reachable again")
		assert.True(t, check("api.example:80"))
		n.SetOnline(false)
		n.SetHostOnline("127.0.0.1", true)
		assert.True(t, check("127.0.0.1:80"))
		assert.False(t, check("api.example:443"))
	})
}
