package main

import (
	"time"

	"github.com/holdfast-ws/holdfast"
)

// books are what a lane has written down at both ends.
type books struct {
	name     string
	delivery holdfast.Delivery
	up, down count // client to server, server to client

	handshakes int
	refusals   []refusal
	closeCode  uint16
	answeredAt time.Time
	garbled    int
	events     []holdfast.Event
	epochs     []epochStart
	silence    time.Duration
	told       uint64
	failure    error

	ending
}

// reconnects counts the links after the first.
func (b *books) reconnects() uint64 { return max(b.stats.Connects, 1) - 1 }

// recovery is how long after the end of an incident's cause the first message
// came over a new link; false if none did.
func (b *books) recovery(in incident, lane int) (time.Duration, bool) {
	for _, e := range b.epochs {
		if e.epoch > in.epochs[lane] {
			return e.at.Sub(in.possible), true
		}
	}
	return 0, false
}

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
