package inbox

// Hold keeps what comes from now on for TakeHeld.
func (q *Queue) Hold() {
	q.held.taking.Lock()
	q.mu.Lock()
	q.end(&q.held, errNotHeld)
	q.held.reset()
	q.holding, q.held.err = true, nil
	q.spare.Store(0)
	tell := q.settle()
	q.mu.Unlock()
	q.held.taking.Unlock()
	q.Wake()
	tell()
}

// EndHeld ends TakeHeld with err, after what came before.
func (q *Queue) EndHeld(err error) {
	q.mu.Lock()
	if q.holding {
		q.end(&q.held, err)
	}
	q.mu.Unlock()
	q.Wake()
}

// Release gives what TakeHeld left to Receive, or forgets it. It ends TakeHeld,
// if EndHeld has not.
func (q *Queue) Release(forget bool) {
	q.held.taking.Lock()
	q.mu.Lock()
	if !forget && q.ready.err == nil {
		q.moveHeld()
	}
	q.end(&q.held, errNotHeld)
	q.held.reset()
	q.holding = false
	q.spare.Store(0)
	tell := q.settle()
	q.mu.Unlock()
	q.held.taking.Unlock()
	q.Wake()
	tell()
}

// moveHeld gives what is held to Receive.
func (q *Queue) moveHeld() {
	l := &q.held
	l.front.join(&l.back)
	for !l.front.empty() && q.ready.waiting.Len() > 0 {
		m := l.front.front()
		q.hand(&q.ready, m)
		l.out.Store(l.out.Load() + charge(m))
		l.took++
		l.front.drop(len(m.Data))
	}
	q.ready.in += l.size()
	q.ready.put += l.put - l.took
	q.ready.back.join(&l.front)
}

// Drain keeps the reader reading for the sake of the close handshake: what finds
// no room is forgotten from now on.
func (q *Queue) Drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.draining = true
	q.resume()
}

// Close ends the queue: receivers get err, after what is in it.
func (q *Queue) Close(err error) {
	q.mu.Lock()
	q.end(&q.ready, err)
	q.mu.Unlock()
	q.Wake()
}

// Stats are counts since the Queue was made, and what it holds.
type Stats struct {
	Received, ReceivedBytes uint64
	Queued                  int
	QueuedBytes             int64
}

// Stats returns the counts.
func (q *Queue) Stats() Stats {
	q.ready.taking.Lock()
	defer q.ready.taking.Unlock()
	q.held.taking.Lock()
	defer q.held.taking.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := q.ready.counts()
	held, heldBytes := q.held.counts()
	return Stats{Received: q.received, ReceivedBytes: q.bytes, Queued: n + held, QueuedBytes: bytes + heldBytes}
}
