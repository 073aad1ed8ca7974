package outbox

import "time"

// drops counts dropped messages by their cause.
type drops struct{ full, stale, big int }

// unlock unlocks the queue after whatever may have dropped messages.
func (q *Queue) unlock() {
	d := q.untold
	q.untold = drops{}
	q.mu.Unlock()
	if d.full > 0 {
		q.onDrop(d.full, ErrDropped)
	}
	if d.stale > 0 {
		q.onDrop(d.stale, ErrStale)
	}
	if d.big > 0 {
		q.onDrop(d.big, ErrTooBig)
	}
}

// dropOldest gives up the oldest message that is not being written right now, in
// a session the oldest that was never sent; false if there is none.
func (q *Queue) dropOldest() bool {
	unsent := q.queue.Len() > q.taken
	switch {
	case q.kept.Len() > 0 && !(q.acks.on && unsent):
		e := q.kept.Pop()
		q.keptBytes -= e.n
		e.written = true
		if q.acks.on { // the session still has it
			q.arena.lend(e.chunk)
		}
		q.acks.dropped = e.seq
		q.drop(e, ErrDropped)
	case unsent:
		q.drop(q.removeUnsent(q.taken, true), ErrDropped)
	default:
		return false
	}
	q.untold.full++
	return true
}

// removeUnsent takes a message out of the queue. skip: it leaves a gap, which a
// session tells the peer at this place.
func (q *Queue) removeUnsent(i int, skip bool) entry {
	e := q.queue.Remove(i)
	mark := e.skip
	if skip {
		mark = e.seq
	}
	if mark == 0 {
		return e
	}
	if i < q.queue.Len() {
		next := q.queue.At(i)
		next.skip = max(next.skip, mark)
	} else {
		q.acks.skip = max(q.acks.skip, mark)
	}
	return e
}

// drop accounts for a message that has been removed; settle follows.
func (q *Queue) drop(e entry, err error) {
	q.free(&e)
	q.stats.Dropped++
	loss := &Loss{Maybe: e.written, Count: 1, Err: err}
	if e.waiter != nil && !e.waiter.finished {
		e.waiter.finish(loss)
	} else {
		q.lost.add(loss)
	}
	q.tellFlushes(e.seq, e.seq, loss)
	if q.acks.on {
		q.wake() // the peer is to be told of the gap
	}
}

// armExpiry sets the timer for the oldest message that may grow stale.
func (q *Queue) armExpiry() {
	if q.limits.MaxAge <= 0 || q.expiry != nil || q.ended || q.queue.Len() == q.taken {
		return
	}
	q.expiry = time.AfterFunc(q.limits.MaxAge-q.age(q.taken), q.expire)
}

// age is how long the message at i has been there.
func (q *Queue) age(i int) time.Duration {
	return time.Since(q.born) - time.Duration(q.queue.At(i).at)
}

func (q *Queue) disarmExpiry() {
	if q.expiry != nil {
		q.expiry.Stop()
		q.expiry = nil
	}
}

func (q *Queue) expire() {
	q.mu.Lock()
	defer q.unlock()
	q.disarmExpiry()
	q.dropStale()
	q.armExpiry()
}

// dropStale gives up what has waited for MaxAge.
func (q *Queue) dropStale() {
	if q.limits.MaxAge <= 0 {
		return
	}
	before := q.untold.stale
	for q.queue.Len() > q.taken && q.age(q.taken) >= q.limits.MaxAge {
		q.drop(q.removeUnsent(q.taken, true), ErrStale)
		q.untold.stale++
	}
	if q.untold.stale > before {
		q.settle()
	}
}
