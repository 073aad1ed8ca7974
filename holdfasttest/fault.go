package holdfasttest

import (
	"fmt"
	"time"

	"github.com/holdfast-ws/holdfast/internal/memnet"
)

// When is a moment in the life of an accepted connection: [AfterSent],
// [AfterReceived] or [After]. Its methods say what happens then. They are
// replies, for [Server.Script] and [Server.OnRequest], that accept the
// handshake; until that moment the connection is served as it is without them.
//
//	srv.Script(
//		holdfasttest.AfterSent(3).Drop(),
//		holdfasttest.After(time.Minute).Close(1012, "restart"),
//		holdfasttest.AfterReceived(1).Freeze(),
//	)
type When struct{ f fault }

// AfterSent is the moment at which n messages have gone to the client. With 0 it
// is right after the handshake. A message counts when its last frame has been
// written; those of a session of package server count in batches, as they go
// over the wire. It panics if n is negative.
func AfterSent(n int) When { return When{fault{on: triggerSent, n: notNegative("AfterSent", n)}} }

// AfterReceived is the moment at which n messages of the client have been read.
// What serves the connection gets the n-th, and its answer does not reach the
// client. With 0 it is right after the handshake. It panics if n is negative.
func AfterReceived(n int) When {
	return When{fault{on: triggerReceived, n: notNegative("AfterReceived", n)}}
}

// After is the moment d after the handshake. It panics if d is negative.
func After(d time.Duration) When {
	if d < 0 {
		panic(fmt.Sprintf("holdfasttest: After(%v): the time is negative", d))
	}
	return When{fault{on: triggerTime, after: d}}
}

func notNegative(name string, n int) int {
	if n < 0 {
		panic(fmt.Sprintf("holdfasttest: %s(%d): the number is negative", name, n))
	}
	return n
}

// Drop ends the connection without a close frame; see [Peer.Drop].
func (w When) Drop() Reply { return w.do(func(t *tap) { t.c.drop() }) }

// Reset ends the connection with a TCP reset.
func (w When) Reset() Reply { return w.do(func(t *tap) { t.c.reset() }) }

// Freeze makes the connection half-open: nothing is read, written or answered
// any more, and neither end is told. [Server.FreezeAll] heals it.
func (w When) Freeze() Reply { return w.do(func(t *tap) { t.c.freeze(true) }) }

// Close closes the connection with a close frame, and drops it once the client
// has answered, or after 5 seconds. What serves it can send nothing more
// meanwhile. A code of 0 or 1005 sends a frame without a code. It panics if the
// reason is longer than 123 bytes (RFC 6455, section 5.5).
func (w When) Close(code uint16, reason string) Reply {
	if len(reason) > 123 {
		panic(fmt.Sprintf("holdfasttest: Close(%d, …): the reason has %d bytes, and at most 123 fit into a close frame", code, len(reason)))
	}
	return w.do(closeFault{code, reason}.act)
}

// Slow makes the connection slow, both ways: a one-way latency that comes on
// top of the network's, and how many bytes a second it carries, 0 for any
// number. The server has to listen on a [Memory]. It panics if either is
// negative.
func (w When) Slow(latency time.Duration, bytesPerSecond int) Reply {
	if latency < 0 || bytesPerSecond < 0 {
		panic(fmt.Sprintf("holdfasttest: Slow(%v, %d): neither may be negative", latency, bytesPerSecond))
	}
	w.f.memory = true
	w.f.prepare = func(t *tap) {
		if c, ok := t.c.raw.(*memnet.Conn); ok {
			c.SetReadPace(latency, bytesPerSecond)
		}
	}
	return w.do(func(t *tap) {
		if c, ok := t.c.raw.(*memnet.Conn); ok {
			c.SetWritePace(latency, bytesPerSecond)
		}
	})
}

// Slow accepts the handshake over a connection that is slow from then on; see
// [When.Slow].
func Slow(latency time.Duration, bytesPerSecond int) Reply {
	return AfterSent(0).Slow(latency, bytesPerSecond)
}

func (w When) do(act func(*tap)) Reply {
	w.f.act = act
	return w.f
}

type trigger int

const (
	triggerSent trigger = iota
	triggerReceived
	triggerTime
)

// A fault is something that happens to an accepted connection, once.
type fault struct {
	on     trigger
	n      int
	after  time.Duration
	memory bool // needs a connection in memory
	// prepare comes just before what the fault is due at can be seen by the
	// client, act just after; nil is nothing to prepare.
	prepare, act func(*tap)
}

func (f fault) happen(t *tap) {
	if f.prepare != nil {
		f.prepare(t)
	}
	f.act(t)
}

func (f fault) decide() decision { return decision{faults: []fault{f}} }

// A closeFault closes the connection between two frames of the server's.
type closeFault struct {
	code   uint16
	reason string
}

func (f closeFault) act(t *tap) {
	if !t.farewell.CompareAndSwap(nil, &f) {
		return // it is being closed already
	}
	t.c.server.spawn(t.c, func() {
		timer := time.AfterFunc(closeTimeout, t.c.drop)
		defer timer.Stop()
		t.part()
	})
	t.offerFarewell()
}
