package holdfasttest

import (
	"context"
	"net"
	"time"

	"github.com/holdfast-ws/holdfast/internal/memnet"
)

// Memory is a network in memory. Its connections behave like TCP: they are
// buffered (64 KiB each way), have deadlines, end with FIN or reset, and can
// be slowed, cut and frozen.
//
// It starts no goroutine and works in testing/synctest bubbles, where latency
// and deadlines are in virtual time: make it inside the bubble, listen on it
// for a [Server], and give its DialContext to holdfast.Options.DialContext.
// All methods are safe for concurrent use.
type Memory struct{ n *memnet.Network }

// NewMemory returns a network without latency that is up.
func NewMemory() *Memory { return &Memory{memnet.New()} }

// Listen listens on "host:port". Port 0 picks a free one. The host is an IP
// literal or a name, which stands for an address of 198.18.0.0/15; "" means
// 127.0.0.1. The error is a *net.OpError, around EADDRINUSE where the address
// is taken.
func (m *Memory) Listen(addr string) (net.Listener, error) { return m.n.Listen(addr) }

// DialContext connects to a listener, by name or address; network is tcp, tcp4
// or tcp6. It takes one round trip of latency. Its errors are *net.OpError:
// around ECONNREFUSED where nothing listens, around ctx's error when ctx ends
// first, around SetDown's error while the network is down.
func (m *Memory) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return m.n.DialContext(ctx, network, addr)
}

// SetLatency sets the one-way delay of everything that is sent from now on,
// on new and live connections. The default is none.
func (m *Memory) SetLatency(d time.Duration) { m.n.SetLatency(d) }

// SetDown takes the network down, or up again with nil. While it is down,
// dials fail with err in a *net.OpError (syscall.ENETUNREACH, say) and live
// connections are frozen; they go on when it is up.
func (m *Memory) SetDown(err error) { m.n.SetDown(err) }

// Blackhole makes dials to addr, a "host:port", hang until their ctx ends, or
// no longer. It panics if addr is none.
func (m *Memory) Blackhole(addr string, on bool) { m.n.Blackhole(addr, on) }

// Freeze makes every live connection half-open, or heals it: nothing arrives
// at either end, and no call fails for it. What was written meanwhile arrives
// when it is healed. Later connections are not frozen.
func (m *Memory) Freeze(on bool) { m.n.Freeze(on) }

// Reset breaks every live connection: both ends get ECONNRESET, after what had
// arrived.
func (m *Memory) Reset() { m.n.Reset() }

// Dials counts the calls to DialContext, failed ones too.
func (m *Memory) Dials() int { return m.n.Dials() }
