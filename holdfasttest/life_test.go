package holdfasttest

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/memnet"
)

func TestUnstarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		l, err := n.Listen("server.example:80")
		require.NoError(t, err)
		s := NewUnstartedServer(l)
		defer s.Close()
		early, err := n.DialContext(t.Context(), "tcp", "server.example:80")
		require.NoError(t, err)
		_, err = io.WriteString(early, handshake(""))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		assert.Zero(t, s.Requests())
		s.Stop() // nothing to stop
		s.Script(Refuse{})
		s.Start()
		require.NoError(t, s.WaitRequests(t.Context(), 1))
		synctest.Wait()
		assert.Zero(t, s.ScriptLeft())
		assert.Zero(t, s.Accepted(), "it waited for the script")
		_ = early.Close()
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	NewUnstartedServer(l).Close()
	_, err = l.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
}

func TestStopAndStart(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		url := s.URL()
		s.Script(Times(2, Accept{}), Refuse{Status: 410})
		for range 2 {
			c := s.connect(t)
			c.text("a")
			c.expect(true, OpText, "a")
			s.Stop()
			s.Stop()
			assert.Error(t, c.expectEnd())
			assert.Empty(t, s.Peers())
			s.Start()
		}
		assert.Equal(t, url, s.URL())
		assert.Equal(t, 410, s.status(t), "the script goes on")
	})
}

func TestStopRefusesDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewMemory()
		s := n.NewServer("api.example:80")
		s.Stop()
		_, err := n.DialContext(t.Context(), "tcp", "api.example:80")
		require.Error(t, err)
		s.Start()
		c, err := n.DialContext(t.Context(), "tcp", "api.example:80")
		require.NoError(t, err)
		synctest.Wait()
		s.Close()
		_, err = c.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
		_ = c.Close()
		assert.PanicsWithValue(t, "holdfasttest: the server is closed; Stop is what it comes back from", s.Start)
	})
}

func TestStartThatCannotBe(t *testing.T) {
	n := NewMemory()
	s := n.NewServer("api.example:80")
	s.Stop()
	other := n.NewServer("api.example:80")
	defer other.Close()
	assert.PanicsWithValue(t, "holdfasttest: the server cannot be started again: listen tcp 198.18.0.1:80: bind: address already in use", s.Start)
	assert.PanicsWithValue(t, "holdfasttest: StartTLS after Stop: Start goes on with what there was", func() { s.StartTLS(nil) })
	s.Close()

	l, err := n.Listen("api.example:81")
	require.NoError(t, err)
	s = NewServer(struct{ net.Listener }{l})
	s.Stop()
	assert.PanicsWithValue(t, "holdfasttest: the server cannot be started again: nobody can say how to listen again with a struct { net.Listener }", s.Start)
	s.Close()
}

func TestShutdown(t *testing.T) {
	stages(t, func(t *testing.T, s stage) {
		c := s.connect(t)
		done := make(chan struct{})
		go func() { defer close(done); s.Shutdown(1012, "deploy") }()
		c.expect(true, OpClose, closePayload(1012, "deploy"))
		c.send(closing(1012, ""))
		assert.ErrorIs(t, c.expectEnd(), io.EOF)
		<-done
		s.Shutdown(1012, "twice is once")
		s.Start()
		assert.Equal(t, 101, s.status(t))
	})
}
