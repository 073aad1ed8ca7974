package demo

import (
	"time"

	"github.com/holdfast-ws/holdfast"
)

// books are what a lane has written down at both ends.
type books struct {
	name     string
	delivery holdfast.Delivery
	session  bool
	links    uint64 // or sessions
	up, down count  // client to server, server to client

	handshakes int
	refusals   []refusal
	closeCode  holdfast.StatusCode
	answeredAt time.Time
	garbled    int
	events     []holdfast.Event
	silence    time.Duration
	told       uint64

	fell, climbed uint64 // from WebSocket back on a fallback, and to it again
	failure       error

	ending
}

// first is the first event of a kind from then on, or a zero one.
func (b *books) first(kind holdfast.EventKind, from time.Time) holdfast.Event {
	for _, e := range b.events {
		if e.Kind == kind && !e.Time.Before(from) {
			return e
		}
	}
	return holdfast.Event{}
}

// count counts the events of a kind.
func (b *books) count(kind holdfast.EventKind) (n uint64) {
	for _, e := range b.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// reconnects counts the links after the first.
func (b *books) reconnects() uint64 { return max(b.stats.Connects, 1) - 1 }

// move counts how often the transport was another one than before.
func (b *books) move() {
	last := websocket
	for _, e := range b.events {
		switch {
		case e.Kind != holdfast.EventConnected && e.Kind != holdfast.EventUpgraded || e.Transport == last:
			continue
		case last == websocket:
			b.fell++
		default:
			b.climbed++
		}
		last = e.Transport
	}
}

// websocket is the name of a transport.
const websocket = "websocket"

// recovery is how long after the end of an incident's cause the first message
// came that was sent later; false if none did.
func (in *incident) recovery(lane int) (took time.Duration, ok bool) {
	a := in.back[lane]
	return a.at.Sub(in.possible), !a.at.IsZero()
}

// met says whether the incident meets a client.
func (in *incident) met(b *books) bool { return b.session || !in.session }

// tally is the outcome of a run.
type tally struct {
	seed      uint64
	start     time.Time
	took      time.Duration
	lag       time.Duration // how late timers were, at worst
	lanes     []books
	incidents []incident
	checks    []check
}

// tally adds up what is known once all has ended.
func (d *demo) tally(endings []ending, took time.Duration) *tally {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := &tally{seed: d.seed, start: d.start, took: took, lag: d.lag, incidents: d.incidents}
	for i, l := range d.lanes {
		b := l.books()
		b.ending = endings[i]
		b.move()
		t.lanes = append(t.lanes, b)
	}
	t.checks = t.promises()
	return t
}

// held says whether every promise held that was put to the test.
func (t *tally) held() bool {
	for _, c := range t.checks {
		if len(c.faults) > 0 {
			return false
		}
	}
	return true
}
