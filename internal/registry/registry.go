// Package registry knows every Conn and Session of the process that lives, for
// those who show and measure them all. Membership costs a few words; events
// are made for it only while somebody watches.
package registry

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Member is a Conn or a Session.
type Member struct {
	// ID is unique in the process, and rises with the age.
	ID uint64
	// Since is when it was added.
	Since time.Time
	// Value is the *holdfast.Conn or *server.Session.
	Value any
}

// Watcher hears of all members. Events of one member come one at a time and in
// order, Removed after them; round trips, and what is about different members, come
// at the same time. The calls must not block.
type Watcher interface {
	// Event hands over a holdfast.Event.
	Event(m *Member, event any)
	// RTT hands over a measured round trip.
	RTT(m *Member, rtt time.Duration)
	// Removed says that nothing more comes of m.
	Removed(m *Member)
}

var (
	mu       sync.Mutex // of writers
	lastID   uint64
	members  sync.Map // of *Member
	watchers atomic.Pointer[[]*watching]
)

type watching struct{ Watcher }

// Add makes value a member, until Remove.
func Add(value any) *Member {
	mu.Lock()
	lastID++
	m := &Member{ID: lastID, Since: time.Now(), Value: value}
	mu.Unlock()
	members.Store(m, nil)
	return m
}

// Remove ends the membership. It is the last call about m.
func (m *Member) Remove() {
	members.Delete(m)
	for _, w := range watched() {
		w.Removed(m)
	}
}

// Members returns all members by ID.
func Members() []*Member {
	var all []*Member
	members.Range(func(m, _ any) bool {
		all = append(all, m.(*Member))
		return true
	})
	slices.SortFunc(all, func(a, b *Member) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Watched says whether anybody watches.
func Watched() bool { return len(watched()) > 0 }

// Event hands over an event of m.
func (m *Member) Event(event any) {
	for _, w := range watched() {
		w.Event(m, event)
	}
}

// RTT hands over a round trip of m.
func (m *Member) RTT(rtt time.Duration) {
	for _, w := range watched() {
		w.RTT(m, rtt)
	}
}

// Watch makes w hear of what happens from now on, until stop is called. A call
// may still be under way when stop returns.
func Watch(w Watcher) (stop func()) {
	added := &watching{w}
	change(func(all []*watching) []*watching { return append(all, added) })
	return func() {
		change(func(all []*watching) []*watching {
			return slices.DeleteFunc(all, func(w *watching) bool { return w == added })
		})
	}
}

func change(f func([]*watching) []*watching) {
	mu.Lock()
	defer mu.Unlock()
	all := f(slices.Clone(watched()))
	watchers.Store(&all)
}

func watched() []*watching {
	if all := watchers.Load(); all != nil {
		return *all
	}
	return nil
}
