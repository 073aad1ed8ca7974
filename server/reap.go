package server

import (
	"container/heap"
	"maps"
	"slices"
	"time"
)

// reaper knows when to look at which session again. The server's lock guards
// it. Its timer runs only while there is something to look at.
type reaper struct {
	due   dueList
	timer *time.Timer
	at    time.Time // when the timer fires; zero: it is not set
}

// dueList is a heap of sessions by when they are to be looked at. The earliest
// is the first.
type dueList []*Session

func (l dueList) Len() int           { return len(l) }
func (l dueList) Less(i, j int) bool { return l[i].dueAt.Before(l[j].dueAt) }
func (l dueList) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].dueIndex, l[j].dueIndex = i, j
}

// Push and Pop are for package heap.
func (l *dueList) Push(x any) {
	n := x.(*Session)
	n.dueIndex = len(*l)
	*l = append(*l, n)
}

func (l *dueList) Pop() any {
	last := len(*l) - 1
	n := (*l)[last]
	(*l)[last], *l = nil, (*l)[:last]
	n.dueIndex = -1
	return n
}

// watch has a session that is not in the list looked at when it is time.
func (r *reaper) watch(n *Session, at time.Time) {
	n.dueAt = at
	heap.Push(&r.due, n)
}

func (r *reaper) forget(n *Session) {
	if n.dueIndex >= 0 {
		heap.Remove(&r.due, n.dueIndex)
	}
}

// arm sets the timer for what comes next. The server's lock is held.
func (s *Server) arm(now time.Time) {
	r := &s.reaper
	var at time.Time
	earlier := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if len(r.due) > 0 {
		earlier(r.due[0].dueAt)
	}
	if s.sessions.graves.Len() > 0 {
		earlier((*s.sessions.graves.At(0)).until)
	}
	if len(s.sessions.all) > 0 {
		earlier(now.Add(countEvery))
	}
	switch {
	case s.stopped || at.IsZero():
		if r.timer != nil {
			r.timer.Stop()
		}
		r.at = time.Time{}
	case r.at.IsZero() || at.Before(r.at):
		r.at = at
		if r.timer == nil {
			r.timer = time.AfterFunc(at.Sub(now), s.reap)
		} else {
			r.timer.Reset(at.Sub(now))
		}
	}
}

// reap ends what has had its time, and counts the buffers.
func (s *Server) reap() {
	if !s.enter() {
		return
	}
	defer s.leave()
	now := time.Now()
	var list []*Session
	s.mu.Lock()
	s.sessions.exhume(now)
	for r := &s.reaper; len(r.due) > 0 && !r.due[0].dueAt.After(now); {
		list = append(list, heap.Pop(&r.due).(*Session))
	}
	if s.closing { // whoever has no link ends
		list = slices.Collect(maps.Keys(s.sessions.all))
		for _, n := range list {
			s.reaper.forget(n)
		}
	}
	s.mu.Unlock()

	next := make([]time.Time, len(list))
	for i, n := range list {
		next[i] = n.look(now)
	}
	s.relieve()

	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range list {
		if _, alive := s.sessions.all[n]; alive && n.record != nil {
			s.reaper.watch(n, next[i])
		}
	}
	s.reaper.at = time.Time{}
	s.arm(time.Now())
}
