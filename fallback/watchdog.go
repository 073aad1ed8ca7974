package fallback

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// watchdog ends a context when nothing has happened for a time. The cause is then
// an error that wraps os.ErrDeadlineExceeded.
type watchdog struct {
	context.Context
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	limit time.Duration // guarded by mu
	timer *time.Timer   // guarded by mu; nil while there is no limit
	over  bool          // guarded by mu
}

// newWatchdog makes one that waits for limit, or for ever while that is not positive.
func newWatchdog(parent context.Context, limit time.Duration) *watchdog {
	w := &watchdog{}
	w.Context, w.cancel = context.WithCancelCause(parent)
	w.alive(limit)
	return w
}

// alive tells that something has happened; limit is for what comes next.
func (w *watchdog) alive(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = limit
	switch {
	case w.over:
	case limit <= 0:
		if w.timer != nil {
			w.timer.Stop()
		}
	case w.timer == nil:
		w.timer = time.AfterFunc(limit, w.bite)
	default:
		w.timer.Reset(limit)
	}
}

func (w *watchdog) bite() {
	w.mu.Lock()
	limit := w.limit
	w.mu.Unlock()
	w.cancel(fmt.Errorf("nothing has moved for %v: %w", limit, os.ErrDeadlineExceeded))
}

// stop ends the context and the watch over it.
func (w *watchdog) stop() {
	w.mu.Lock()
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.cancel(context.Canceled)
}
