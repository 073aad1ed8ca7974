package main

import (
	"context"
	"sync"
)

// gate says how many messages may have been sent in each direction, so that the
// faults fall all along the run and the senders are at full speed in between.
type gate struct {
	mu    sync.Mutex
	limit uint64
	wider chan struct{} // closed and replaced when limit grows
}

func newGate() *gate { return &gate{wider: make(chan struct{})} }

// open lets messages below limit pass.
func (g *gate) open(limit uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if limit > g.limit {
		g.limit = limit
		close(g.wider)
		g.wider = make(chan struct{})
	}
}

// pass waits until message n may be sent, and returns the limit.
func (g *gate) pass(ctx context.Context, n uint64) (uint64, error) {
	for {
		g.mu.Lock()
		limit, wider := g.limit, g.wider
		g.mu.Unlock()
		if n < limit {
			return limit, nil
		}
		select {
		case <-wider:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
