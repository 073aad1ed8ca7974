package holdfasttest

import (
	"bytes"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
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

func TestMemoryServers(t *testing.T) {
	m := NewMemory()
	one, two := m.NewServer(""), m.NewServer("api.example:8080")
	defer one.Close()
	defer two.Close()
	assert.Regexp(t, `^ws://server-\d+\.test:80/$`, one.URL())
	assert.Equal(t, "ws://api.example:8080/", two.URL())
	three := NewMemory().NewServer("")
	defer three.Close()
	assert.NotEqual(t, one.URL(), three.URL())
	four := m.NewServer(":0")
	defer four.Close()
	assert.Regexp(t, `^ws://127\.0\.0\.1:\d+/$`, four.URL())
}

func TestMemoryBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		s := m.NewServer("api.example:80")
		defer s.Close()
		c := stage{s, func() net.Conn {
			c, err := m.DialContext(t.Context(), "tcp", "api.example:80")
			require.NoError(t, err)
			return c
		}}.connect(t)
		m.SetBandwidth(1000)
		start := time.Now()
		c.send(Frame{Fin: true, Opcode: OpBinary, Payload: make([]byte, 4992)}) // 5,000 bytes there, 4,996 back
		c.expect(true, OpBinary, string(bytes.Repeat([]byte{0}, 4992)))
		assert.Equal(t, 9996*time.Millisecond, time.Since(start))
	})
}

func TestMemoryOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, rec := NewMemory(), NewRecorder(t)
		s := m.NewServer("")
		defer s.Close()
		o := m.Options()
		o.OnEvent = rec.OnEvent
		proxy, err := o.Proxy(nil)
		require.NoError(t, err)
		assert.Nil(t, proxy)
		conn, err := holdfast.Dial(t.Context(), s.URL(), &o)
		require.NoError(t, err)
		m.SetOnline(false)
		rec.Wait(time.Second, holdfast.EventOffline)
		_, err = m.DialContext(t.Context(), "tcp", "api.example:80")
		assert.ErrorIs(t, err, syscall.ENETUNREACH)
		time.Sleep(time.Hour)
		m.SetOnline(true)
		rec.Wait(time.Second, holdfast.EventConnected)
		rec.AssertRetries(0)

		dns := &net.DNSError{Err: "no such host", Name: "server.test", IsNotFound: true}
		addr := s.URL()[len("ws://") : len(s.URL())-1]
		m.FailDials(addr, dns)
		s.DropAll()
		failed := rec.Wait(time.Minute, holdfast.EventAttemptFailed)
		var de *holdfast.DialError
		require.ErrorAs(t, failed.Err, &de)
		assert.Equal(t, holdfast.ClassName, de.Class)
		m.FailDials(addr, nil)
		rec.Wait(time.Minute, holdfast.EventConnected)
		require.NoError(t, conn.Close())
	})
}
