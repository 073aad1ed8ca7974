package holdfast_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// deafPort is an address of this host at which nothing listens, nor will: its
// port belongs to the client's end of a connection.
func deafPort(t *testing.T) (addr string) {
	t.Helper()
	c, err := net.Dial("tcp", serveTCP(t, hang))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

func TestFailuresConnect(t *testing.T) {
	explain(t, []failure{
		{cause: "nothing listens", phase: holdfast.PhaseConnect, class: holdfast.ClassServerDown, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, _ *holdfast.Options) string { return "ws://" + deafPort(t) + "/stream" },
			hint: []string{"nothing listens on 127.0.0.1:", "is the server running, and is the port right?"}},
		{cause: "nothing listens, over TLS", phase: holdfast.PhaseConnect, class: holdfast.ClassServerDown, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, _ *holdfast.Options) string { return "wss://" + deafPort(t) + "/stream" },
			hint: []string{"nothing listens on 127.0.0.1:", "is the server running, and is the port right?"}},
	})
}
