package holdfasttest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/memnet"
)

// Memory is a network in memory. Its connections behave like TCP: they are
// buffered (64 KiB each way), have deadlines, end with FIN or reset, and can
// be slowed, cut and frozen.
//
// It starts no goroutine and works in testing/synctest bubbles, where latency
// and deadlines are in virtual time: make it inside the bubble, listen on it
// for a [Server], and begin the Conn's options with its Options. All methods are
// safe for concurrent use.
type Memory struct {
	// Host is what the clients' host says of being online.
	Host *Network
	n    *memnet.Network
}

// NewMemory returns a network without latency that is up, and a host that is
// online.
func NewMemory() *Memory { return &Memory{Host: NewNetwork(), n: memnet.New()} }

// Options are those of a client on the network: DialContext, Host as the
// Network, and no proxy, whatever the environment says. A Conn in a bubble
// needs all three: the operating system's network watcher would wait for real
// sockets, and virtual time stand still.
func (m *Memory) Options() holdfast.Options {
	return holdfast.Options{DialContext: m.DialContext, Network: m.Host, Proxy: noProxy}
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// SetOnline takes the host offline, or online again, as it is when a cable is
// pulled: SetDown with syscall.ENETUNREACH, and Host says so. Of a failure that
// the host does not notice, SetDown or Freeze alone make one.
func (m *Memory) SetOnline(online bool) {
	if online {
		m.SetDown(nil)
	} else {
		m.SetDown(syscall.ENETUNREACH)
	}
	m.Host.SetOnline(online)
}

// names counts the servers that NewServer has named.
var names atomic.Uint64

// NewServer serves on addr, "host:port", at once. With "" it takes a name that
// no other server of the process has had. That matters where WebSocket is
// blocked: a process remembers it of the server's name, and so from one test to
// the next. The server's URL has that name. It panics if it cannot listen.
//
//	network := holdfasttest.NewMemory()
//	srv := network.NewServer("")
//	defer srv.Close()
func (m *Memory) NewServer(addr string) *Server {
	if addr == "" {
		addr = fmt.Sprintf("server-%d.test:80", names.Add(1))
	}
	l, err := m.Listen(addr)
	if err != nil {
		panic("holdfasttest: NewServer: " + err.Error())
	}
	s := NewUnstartedServer(l)
	if host, port, err := net.SplitHostPort(addr); err == nil && host != "" && port != "0" {
		s.host = addr
	}
	s.Start()
	return s
}

// Listen listens on "host:port". Port 0 picks a free one. The host is an IP
// literal or a name, which stands for an address of 198.18.0.0/15; "" means
// 127.0.0.1. The error is a *net.OpError, around EADDRINUSE where the address
// is taken.
func (m *Memory) Listen(addr string) (net.Listener, error) { return m.n.Listen(addr) }

// DialContext connects to a listener, by name or address; network is tcp, tcp4
// or tcp6. It takes one round trip of latency. Its errors are *net.OpError:
// around ECONNREFUSED where nothing listens, around ctx's error when ctx ends
// first, around SetDown's error while the network is down, around FailDials'
// error.
func (m *Memory) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return m.n.DialContext(ctx, network, addr)
}

// SetLatency sets the one-way delay of everything that is sent from now on,
// on new and live connections. The default is none.
func (m *Memory) SetLatency(d time.Duration) { m.n.SetLatency(d) }

// SetBandwidth bounds how many bytes a second each connection carries each way,
// of everything that is sent from now on, on new and live connections. They
// arrive in pieces of 1,460 bytes. 0, the default, is no bound.
func (m *Memory) SetBandwidth(bytesPerSecond int) { m.n.SetBandwidth(bytesPerSecond) }

// SetDown takes the network down, or up again with nil. While it is down,
// dials fail with err in a *net.OpError (syscall.ENETUNREACH, say) and live
// connections are frozen; they go on when it is up.
func (m *Memory) SetDown(err error) { m.n.SetDown(err) }

// Blackhole makes dials to addr, a "host:port", hang until their ctx ends, or
// no longer. It panics if addr is none.
func (m *Memory) Blackhole(addr string, on bool) { m.n.Blackhole(addr, on) }

// FailDials makes dials to addr, a "host:port", fail with err in a
// *net.OpError, or no longer with nil: a *net.DNSError, say, or
// syscall.EHOSTUNREACH. It panics if addr is none.
func (m *Memory) FailDials(addr string, err error) { m.n.FailDials(addr, err) }

// Freeze makes every live connection half-open, or heals it: nothing arrives
// at either end, and no call fails for it. What was written meanwhile arrives
// when it is healed. Later connections are not frozen.
func (m *Memory) Freeze(on bool) { m.n.Freeze(on) }

// Reset breaks every live connection: both ends get ECONNRESET, after what had
// arrived.
func (m *Memory) Reset() { m.n.Reset() }

// Dials counts the calls to DialContext, failed ones too.
func (m *Memory) Dials() int { return m.n.Dials() }
