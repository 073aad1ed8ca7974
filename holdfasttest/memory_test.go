package holdfasttest

import (
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		dial := func() (net.Conn, error) { return m.DialContext(t.Context(), "tcp", "api.example:80") }
		_, err := dial()
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		l, err := m.Listen("api.example:80")
		require.NoError(t, err)
		s := NewServer(l)
		defer s.Close()

		m.SetLatency(time.Second)
		m.Blackhole("api.example:80", true)
		m.Blackhole("api.example:80", false)
		start := time.Now()
		c := stage{s, func() net.Conn {
			c, err := dial()
			require.NoError(t, err)
			return c
		}}.connect(t)
		assert.Equal(t, 4*time.Second, time.Since(start), "a round trip to dial, another for the handshake")

		m.Freeze(true)
		c.text("held")
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		_, err = c.br.Peek(1)
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		assert.True(t, ne.Timeout())
		m.Freeze(false)
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		c.expect(true, OpText, "held")

		m.SetDown(syscall.ENETUNREACH)
		_, err = dial()
		assert.ErrorIs(t, err, syscall.ENETUNREACH)
		m.SetDown(nil)

		m.Reset()
		_, err = io.ReadAll(c)
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		assert.Equal(t, 3, m.Dials())
	})
}
