//go:build linux

package netns

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// dial connects over TCP and exchanges one byte.
func dial(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte{7}); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

// echo serves a listener until it is closed.
func echo(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.CopyN(conn, conn, 1)
		conn.Close()
	}
}

func TestRunIsAlone(t *testing.T) {
	Run(t, func(t *testing.T) {
		links, err := net.Interfaces()
		require.NoError(t, err)
		for _, l := range links {
			assert.Equal(t, l.Name == "lo", l.Flags&net.FlagUp != 0, "%s", l.Name)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		go echo(l)
		require.NoError(t, dial(l.Addr().String()))
	})
}

func TestRunOfSubtest(t *testing.T) {
	t.Run("with a space / and more", func(t *testing.T) {
		before := os.Getenv(childEnv)
		Run(t, func(t *testing.T) { assert.Equal(t, t.Name(), before) })
	})
}

func TestPatternMatchesOneTest(t *testing.T) {
	assert.Equal(t, `^TestA$/^b\.c$`, pattern("TestA/b.c"))
}

func TestPairFailures(t *testing.T) {
	Run(t, func(t *testing.T) {
		p := NewPair(t)
		for _, peer := range []string{PeerIPv4, PeerIPv6} {
			l := p.Listen(t, "tcp", net.JoinHostPort(peer, "0"))
			go echo(l)
			require.NoError(t, dial(l.Addr().String()))
		}
		const far = "198.51.100.1"
		p.Peer.AddAddr(t, "lo", far+"/32")
		l := p.Listen(t, "tcp", far+":0")
		go echo(l)
		addr := l.Addr().String()
		require.ErrorIs(t, dial(addr), unix.ENETUNREACH)

		way := Route{To: "198.51.100.0/24", Via: PeerIPv4}
		p.Here.AddRoute(t, way)
		require.NoError(t, dial(addr))

		for _, forbid := range []struct {
			typ RouteType
			err error
		}{{Unreachable, unix.EHOSTUNREACH}, {Prohibit, unix.EACCES}, {Blackhole, unix.EINVAL}} {
			r := Route{To: far + "/32", Type: forbid.typ}
			p.Here.AddRoute(t, r)
			require.ErrorIs(t, dial(addr), forbid.err)
			p.Here.DelRoute(t, r)
			require.NoError(t, dial(addr))
		}

		p.Here.DelRoute(t, way)
		require.ErrorIs(t, dial(addr), unix.ENETUNREACH)
		p.Here.AddRoute(t, way)
		require.NoError(t, dial(addr))

		p.Here.SetUp(t, Device, false)
		require.ErrorIs(t, dial(addr), unix.ENETUNREACH)
		p.Here.SetUp(t, Device, true)
		require.ErrorIs(t, dial(addr), unix.ENETUNREACH, "a route via a next hop does not come back")
		p.Here.AddRoute(t, way)
		require.NoError(t, dial(addr))

		p.Here.DelAddr(t, Device, HereIPv4+BitsIPv4)
		require.ErrorIs(t, dial(addr), unix.ENETUNREACH)
		p.Here.AddAddr(t, Device, "10.77.0.9/24")
		p.Here.AddRoute(t, way)
		require.NoError(t, dial(addr), "from another address")

		p.Peer.SetUp(t, Device, false)
		p.Here.WaitRunning(t, Device, false)
		p.Peer.SetUp(t, Device, true)
		p.Here.WaitRunning(t, Device, true)
	})
}

func TestPairPacketsAndSecondPair(t *testing.T) {
	Run(t, func(t *testing.T) {
		t.Run("first", func(t *testing.T) { NewPair(t) })
		p := NewPair(t)
		server := p.ListenPacket(t, "udp", PeerIPv4+":0")
		client, err := net.Dial("udp", server.LocalAddr().String())
		require.NoError(t, err)
		defer client.Close()
		_, err = client.Write([]byte("hello"))
		require.NoError(t, err)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(5*time.Second)))
		buf := make([]byte, 16)
		n, from, err := server.ReadFrom(buf)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(buf[:n]))
		assert.Equal(t, client.LocalAddr().String(), from.String())

		p.Here.DelLink(t, Device)
		_, err = client.Write([]byte("gone"))
		require.Error(t, err)
	})
}

func TestResolvers(t *testing.T) {
	Run(t, func(t *testing.T) {
		Resolvers(t, PeerIPv4, PeerIPv6)
		b, err := os.ReadFile("/etc/resolv.conf")
		require.NoError(t, err)
		assert.Equal(t, "nameserver "+PeerIPv4+"\nnameserver "+PeerIPv6+"\n", string(b))
	})
	if os.Getenv(childEnv) == "" {
		b, err := os.ReadFile("/etc/resolv.conf")
		require.NoError(t, err)
		assert.NotContains(t, string(b), PeerIPv6, "it leaked out of the namespace")
	}
}
