package stream

import (
	"context"
	"sync"
)

// Gate says how many messages may have been sent in each direction, so that the
// faults fall all along the run and the senders are at full speed in between.
type Gate struct {
	mu    sync.Mutex
	limit uint64
	wider chan struct{} // closed and replaced when limit grows
}

// NewGate returns a closed one.
func NewGate() *Gate { return &Gate{wider: make(chan struct{})} }

// Open lets messages below limit pass.
func (g *Gate) Open(limit uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if limit > g.limit {
		g.limit = limit
		close(g.wider)
		g.wider = make(chan struct{})
	}
}

// Pass waits until message n may be sent, and returns the limit.
func (g *Gate) Pass(ctx context.Context, n uint64) (uint64, error) {
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
