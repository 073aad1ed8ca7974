package holdfast_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-ws/holdfast"
)

// fullPort is an address whose queue of connections is full, so that the kernel
// drops the packets of further ones.
func fullPort(t *testing.T) (addr string) {
	t.Helper()
	l := listen(t)
	t.Cleanup(func() { l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) })) // room for one
	require.NoError(t, err)
	c, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return l.Addr().String()
}

func TestFailuresPacketsDropped(t *testing.T) {
	explain(t, []failure{
		{cause: "ws", phase: holdfast.PhaseConnect, class: holdfast.ClassTimeout, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.HandshakeTimeout = short
				return "ws://" + fullPort(t) + "/stream"
			},
			hint: []string{"did not answer in time", "a firewall may be dropping packets, or the address or port is wrong"}},
		{cause: "by a dialer of the program's own with a timeout", phase: holdfast.PhaseConnect, class: holdfast.ClassTimeout, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.DialContext = (&net.Dialer{Timeout: short}).DialContext
				return "wss://" + fullPort(t) + "/stream"
			},
			hint: []string{"did not answer in time"}},
		{cause: "at the proxy", phase: holdfast.PhaseProxy, class: holdfast.ClassProxyDown, decision: holdfast.DecisionRetry,
			make: func(t *testing.T, o *holdfast.Options) string {
				o.HandshakeTimeout = short
				o.Proxy = proxyAt("http", fullPort(t))
				return "ws://server.test/stream"
			},
			hint: []string{"is it running", "is its URL right", "HTTPS_PROXY"}},
	})
}
