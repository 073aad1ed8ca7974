package inbox

import "context"

// Helper reads the link for a receiver that waits, in the receiver's goroutine.
type Helper interface {
	// Help reads until got has something, until ctx ends, or until another
	// goroutine reads instead, which it may do at once.
	Help(ctx context.Context, got <-chan struct{})
	// Interrupt has a Help that waits for the link look at got again.
	Interrupt()
	// Kick says that somebody waits for what is to be read, who does not receive.
	Kick()
}

// Use has receivers that wait call h from now on; nil ends that. Those that wait
// already go on as they are.
func (q *Queue) Use(h Helper) {
	if h == nil {
		q.helper.Store(nil)
		return
	}
	q.helper.Store(&h)
}

// Leave ends the Use of h, unless another one is in use.
func (q *Queue) Leave(h Helper) {
	if now := q.helper.Load(); now != nil && *now == h {
		q.helper.CompareAndSwap(now, nil)
	}
}

// Uses says whether receivers that wait call h.
func (q *Queue) Uses(h Helper) bool {
	now := q.helper.Load()
	return now != nil && *now == h
}

// help lets a receiver read for itself.
func (q *Queue) help(ctx context.Context, r *receiver) {
	h := q.helper.Load()
	if h == nil {
		return
	}
	r.helping.Store(h)
	(*h).Help(ctx, r.got)
	r.helping.Store(nil)
}

// Kick sees to it that the link is read now.
func (q *Queue) Kick() {
	if h := q.helper.Load(); h != nil {
		(*h).Kick()
	}
}

// Waiting says whether a receiver waits for a message.
func (q *Queue) Waiting() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready.waiting.Len() > 0
}

// RoomNow says whether Room would not wait.
func (q *Queue) RoomNow() bool {
	if q.spare.Load() > 0 {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.draining || !q.full()
}
