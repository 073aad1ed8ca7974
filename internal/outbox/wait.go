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
	lost     Loss  // of a Flush: of its messages, while it waited
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
	defer q.unlock()
	w.from, w.to = q.low(), q.lastSeq
	if q.ended {
		w.finish(q.left)
		return w
	}
	q.waiters = append(q.waiters, w)
	q.settle()
	return w
}

// tellFlushes tells each Flush that waits for any of the messages from lo to hi
// that they are lost: nil would say that the peer has read them.
func (q *Queue) tellFlushes(lo, hi uint64, l *Loss) {
	for _, w := range q.waiters {
		if from, to := max(lo, w.from), min(hi, w.to); w.flush && from <= to {
			w.lost.add(&Loss{Maybe: l.Maybe, Count: min(l.Count, int(to-from+1)), Err: l.Err})
		}
	}
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
		if !w.finished && !w.pinged.IsZero() && !q.acks.on { // a session's peer may be slow to take
			left := time.Until(w.pinged.Add(timeout))
			if left <= 0 {
				q.abandon(w, noPong)
				q.settle()
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
			defer q.unlock()
			return q.result(w)
		}
		q.unlock()
		select {
		case <-w.signal:
		case <-expired:
		case <-ctx.Done():
			q.mu.Lock()
			q.abandon(w, ctx.Err())
			q.settle()
			q.unlock()
		}
	}
}

// result is what Wait returns. A Flush tells all that was lost and that no other
// has told, and what was lost of its own messages whoever else tells it.
func (q *Queue) result(w *Waiter) error {
	if w.err != nil || !w.flush {
		return w.err
	}
	lost := q.lost
	q.lost = Loss{}
	lost.Count = max(lost.Count, w.lost.Count)
	lost.Maybe = lost.Maybe || w.lost.Maybe
	if lost.Err == nil {
		lost.Err = w.lost.Err
	}
	if lost.Count == 0 {
		return nil
	}
	return &lost
}

// FailWaiters ends every Wait with err, and every blocked Push that has a
// waiter: no proof can come.
func (q *Queue) FailWaiters(err error) {
	q.mu.Lock()
	defer q.unlock()
	q.blocked = slices.DeleteFunc(q.blocked, func(p *push) bool {
		if p.waiter != nil {
			p.err = err
			close(p.done)
		}
		return p.waiter != nil
	})
	for _, w := range q.waiters {
		q.abandon(w, err)
	}
	q.settle()
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
	} else if i, end := span(&q.queue, w); i < end && !loss.Maybe {
		e := q.removeUnsent(i, false)
		q.free(&e)
		if q.acks.on {
			q.wake() // a gap or CLOSE may have waited behind it
		}
	}
	w.finish(loss)
}

// pending describes the unsettled messages of a waiter.
func (q *Queue) pending(w *Waiter, err error) *Loss {
	loss := &Loss{Err: err}
	if i, end := span(&q.queue, w); i < end {
		loss.Count = end - i
		loss.Maybe = i < q.taken || q.queue.At(i).written // such ones are in front
	}
	if i, end := span(&q.kept, w); i < end {
		loss.Count += end - i
		loss.Maybe = true
	}
	r := &q.receipts
	if lo, hi := max(w.from, r.proven+1), min(w.to, r.written); r.unproven > 0 && lo <= hi {
		loss.Count += min(r.unproven, int(hi-lo+1))
		loss.Maybe = true
	}
	return loss
}
