package holdfast

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast/internal/netwatch"
)

// A tunnel's own address is none of the host's, and its routes are not either.
func TestCustomDialersAreNotJudged(t *testing.T) {
	w := netwatch.System()
	n := systemNetwork{w, true}
	assert.True(t, n.HasAddr(netip.MustParseAddr("100.64.0.7")))
	assert.False(t, systemNetwork{w, false}.HasAddr(netip.MustParseAddr("100.64.0.7")))
	assert.Equal(t, ReachUnknown, n.Check(t.Context(), "100.64.0.7:80"))
}
