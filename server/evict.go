package server

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// bufferBudget bounds what all sessions together hold in their buffers. Above
	// it sessions without a link end, and no new one begins.
	bufferBudget = 1 << 30
	// countPause is how often at most the buffers are counted, and countEvery how
	// often at least while there are sessions.
	countPause = 100 * time.Millisecond
	countEvery = 5 * time.Second
)

// budget is an account of what the sessions hold in their buffers.
type budget struct {
	limit   int64
	held    atomic.Int64 // when it was counted last
	grown   atomic.Int64 // sent since then
	counted time.Time    // the server's lock guards it
}

// overBudget refuses new sessions while the buffers hold too much.
func (s *Server) overBudget() *refusal {
	if s.budget.held.Load() > s.budget.limit {
		s.relieve()
	}
	if s.budget.held.Load() <= s.budget.limit {
		return nil
	}
	return &refusal{status: 503, retryAfter: retrySoon, text: "the server's buffers are full"}
}

// grew notes that a session has taken n bytes to send; a lot of them is counted
// before its time.
func (s *Server) grew(n int) {
	if s.budget.grown.Add(int64(n)) > s.budget.limit/8 {
		s.relieve()
	}
}

// relieve counts what the buffers hold, and ends sessions without a link, the
// oldest first, while that is too much.
func (s *Server) relieve() {
	now := time.Now()
	s.mu.Lock()
	if now.Sub(s.budget.counted) < countPause {
		s.mu.Unlock()
		return
	}
	s.budget.counted = now
	all := slices.Collect(maps.Keys(s.sessions.all))
	s.mu.Unlock()

	s.budget.grown.Store(0)
	total := int64(0)
	for _, n := range all {
		total += n.held()
	}
	if total > s.budget.limit {
		for _, n := range oldestUnattached(all, now) {
			held := n.held()
			if held == 0 || !n.expire(now, true) {
				continue
			}
			if total -= held; total <= s.budget.limit {
				break
			}
		}
		s.opts.Logger.Warn("holdfast: the buffers of all sessions were over their budget", "bytes", total, "budget", s.budget.limit)
	}
	s.budget.held.Store(total)
}

// evictOldest ends the session that has been without a link for longest; false
// if there is none.
func evictOldest(list []*Session) bool {
	now := time.Now()
	return slices.ContainsFunc(oldestUnattached(list, now), func(n *Session) bool { return n.expire(now, true) })
}

// oldestUnattached returns the sessions without a link, first those that have
// been so for longest.
func oldestUnattached(list []*Session, now time.Time) []*Session {
	type idle struct {
		*Session
		since time.Time
	}
	var found []idle
	for _, n := range list {
		if since, ok := n.unattached(now); ok {
			found = append(found, idle{n, since})
		}
	}
	slices.SortFunc(found, func(a, b idle) int {
		return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id))
	})
	oldest := make([]*Session, len(found))
	for i, f := range found {
		oldest[i] = f.Session
	}
	return oldest
}
