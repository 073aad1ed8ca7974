package holdfast_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// With the system's network watcher, which ends with the last Conn.
func TestPromise01ManyCyclesOverTCPLeaveNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := holdfasttest.NewServer(l)
	for range 1000 {
		c, err := holdfast.Dial(t.Context(), s.URL(), nil)
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	s.Close()
	goleak.VerifyNone(t, before)
}
