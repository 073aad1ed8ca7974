package outbox

import (
	"context"
	"slices"
	"time"
)

// Loss is the error of Wait: Count messages have no receipt and, but for a
// Flush that was given up, will have none. Maybe says that some may have
// reached the peer.
type Loss struct {
	Maybe bool
	Count int
	Err   error
}

// Error returns the cause's text.
func (l *Loss) Error() string { return l.Err.Error() }

// Unwrap returns the cause.
func (l *Loss) Unwrap() error { return l.Err }

func (l *Loss) add(other *Loss) {
	l.Maybe = l.Maybe || other.Maybe
	l.Count += other.Count
	if other.Err != nil {
		l.Err = other.Err
	}
}

// Waiter waits for the fate of messages. The queue's lock guards it.
type Waiter struct {
	from, to uint64
	flush    bool      // of all that was accepted, not of one message
	pinged   time.Time // when the ping that covers it was sent; zero: not yet
	signal   chan struct{}
	finished bool
	err      error // *Loss
}

// NewWaiter returns a Waiter for one Push.
func NewWaiter() *Waiter { return &Waiter{signal: make(chan struct{}, 1)} }

func (w *Waiter) wake() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

func (w *Waiter) finish(l *Loss) {
	if w.finished {
		return
	}
	w.finished = true
	if l != nil {
		w.err = l
	}
	w.wake()
}

// Flush returns a Waiter for all that has been accepted.
func (q *Queue) Flush() *Waiter {
	w := NewWaiter()
	w.flush = true
	q.mu.Lock()
	defer q.mu.Unlock()
	w.from, w.to = q.low(), q.lastSeq
	q.waiters = append(q.waiters, w)
	if q.ended {
		w.finish(nil)
		return w
	}
	q.settle()
	q.wake()
	return w
}

// Wait blocks until the fate of w's messages is settled. nil means that the
// peer has proven to have read them, and for a Flush that nothing was lost
// since the last one. The error is a *Loss around ctx's error, the cause of a
// loss, or noPong where the proof did not come within timeout of asking.
func (q *Queue) Wait(ctx context.Context, w *Waiter, timeout time.Duration, noPong error) error {
	var timer *time.Timer
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	for {
		var expired <-chan time.Time
		q.mu.Lock()
		if !w.finished && !w.pinged.IsZero() {
			left := time.Until(w.pinged.Add(timeout))
			if left <= 0 {
				q.abandon(w, noPong)
			} else {
				if timer == nil {
					timer = time.NewTimer(left)
				} else {
					timer.Reset(left)
				}
				expired = timer.C
			}
		}
		if w.finished {
			defer q.mu.Unlock()
			if w.err == nil && w.flush && q.lost.Count > 0 {
				lost := q.lost
				q.lost = Loss{}
				return &lost
			}
			return w.err
		}
		q.mu.Unlock()
		select {
		case <-w.signal:
		case <-expired:
		case <-ctx.Done():
			q.mu.Lock()
			q.abandon(w, ctx.Err())
			q.mu.Unlock()
		}
	}
}

// FailWaiters ends every Wait with err: no proof can come.
func (q *Queue) FailWaiters(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range slices.Clone(q.waiters) {
		q.abandon(w, err)
	}
}

// abandon ends a Wait with err. A single message that no writer has is taken
// back; what a Flush waited for stays accepted.
func (q *Queue) abandon(w *Waiter, err error) {
	if w.finished {
		return
	}
	loss := q.pending(w, err)
	if w.flush {
		loss.Maybe = true // what is queued will still go out
	}
	if !w.flush && !loss.Maybe {
		for i := q.taken; i < q.queue.Len(); i++ {
			if e := q.queue.At(i); e.seq == w.to {
				q.bytes -= len(e.Data)
				q.queue.Remove(i)
				break
			}
		}
	}
	w.finish(loss)
	q.settle()
}

// pending describes the unsettled messages of a waiter.
func (q *Queue) pending(w *Waiter, err error) *Loss {
	loss := &Loss{Err: err}
	for i, e := range q.queue.All() {
		if w.from <= e.seq && e.seq <= w.to {
			loss.Count++
			loss.Maybe = loss.Maybe || e.written || i < q.taken
		}
	}
	for _, e := range q.kept.All() {
		if w.from <= e.seq && e.seq <= w.to {
			loss.Count++
			loss.Maybe = true
		}
	}
	r := &q.receipts
	if lo, hi := max(w.from, r.proven+1), min(w.to, r.written); r.unproven > 0 && lo <= hi {
		loss.Count += min(r.unproven, int(hi-lo+1))
		loss.Maybe = true
	}
	return loss
}
