package debugpage

import (
	"container/list"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
)

// recorder remembers what happens to the members of the process, within bounds.
// It is a registry.Watcher.
type recorder struct {
	since time.Time

	mu      sync.Mutex
	records map[uint64]*record // of members that live, by ID
	ended   []*record          // the oldest first
	quiet   list.List          // of *record: with events, first whose last one is the oldest
	events  int                // of all
}

func newRecorder() *recorder { return &recorder{since: time.Now(), records: map[uint64]*record{}} }

// start begins to record, with the states that the members have by now.
func (c *recorder) start() (stop func()) {
	stop = registry.Watch(c)
	for _, m := range registry.Members() {
		s, ok := statsOf(m)
		if !ok {
			continue
		}
		c.mu.Lock()
		if c.records[m.ID] == nil {
			if r := c.record(m); r != nil {
				r.state, r.carrier = s.State, s.Transport
			}
		}
		c.mu.Unlock()
	}
	return stop
}

// record returns m's record, and makes one if there is room. The lock is held.
func (c *recorder) record(m *registry.Member) *record {
	r := c.records[m.ID]
	if r == nil && len(c.records) < maxRecords {
		r = &record{id: m.ID, from: max(m.Since.UnixNano(), c.since.UnixNano()), state: holdfast.StateConnecting}
		c.records[m.ID] = r
	}
	return r
}

// Event implements registry.Watcher.
func (c *recorder) Event(m *registry.Member, event any) {
	e := event.(holdfast.Event)
	h := newHappening(e)
	var last *entry
	if e.Kind == holdfast.EventClosed {
		if last = newEntry(m); last != nil {
			last.end(e)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.record(m)
	if r == nil {
		return
	}
	if last != nil {
		r.last = last
		for i := r.events.Len() - 1; i >= 0 && last.stats.Transport == ""; i-- {
			last.stats.Transport = r.events.At(i).transport // the last one that it had
		}
	}
	c.events -= r.events.Len()
	r.add(h)
	c.events += r.events.Len()
	if r.quiet == nil {
		r.quiet = c.quiet.PushBack(r)
	} else {
		c.quiet.MoveToBack(r.quiet)
	}
	for c.events > maxAllEvents {
		quiet := c.quiet.Front().Value.(*record)
		quiet.forget()
		c.events--
		if quiet.events.Len() == 0 {
			c.quiet.Remove(quiet.quiet)
			quiet.quiet = nil
		}
	}
}

// RTT implements registry.Watcher.
func (c *recorder) RTT(m *registry.Member, rtt time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.record(m); r != nil {
		r.addRTT(rtt)
	}
}

// Removed implements registry.Watcher.
func (c *recorder) Removed(m *registry.Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.records[m.ID]
	if r == nil {
		return
	}
	delete(c.records, m.ID)
	if r.last == nil {
		c.free(r)
		return
	}
	if len(c.ended) == maxEnded {
		c.free(c.ended[0])
		copy(c.ended, c.ended[1:])
		c.ended = c.ended[:maxEnded-1]
	}
	c.ended = append(c.ended, r)
}

// free forgets what a record has. The lock is held.
func (c *recorder) free(r *record) {
	c.events -= r.events.Len()
	if r.quiet != nil {
		c.quiet.Remove(r.quiet)
	}
}

// sweep forgets those that are not among the living, up to the youngest of them:
// a round trip may be told after the end.
func (c *recorder) sweep(living []entry) {
	if len(living) == 0 {
		return
	}
	known := make(map[uint64]struct{}, len(living))
	youngest := uint64(0)
	for i := range living {
		known[living[i].id] = struct{}{}
		youngest = max(youngest, living[i].id)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, r := range c.records {
		if _, lives := known[id]; !lives && id <= youngest && r.last == nil && r.events.Len() == 0 {
			delete(c.records, id)
		}
	}
}

// lastEnded returns copies of those that have ended, the youngest end first.
func (c *recorder) lastEnded() []entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]entry, 0, len(c.ended))
	for i := len(c.ended) - 1; i >= 0; i-- {
		list = append(list, *c.ended[i].last)
	}
	return list
}

// recall returns what is remembered of one that lives, or has ended.
func (c *recorder) recall(id uint64) (h history, last *entry, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.records[id]
	for i := 0; r == nil && i < len(c.ended); i++ {
		if c.ended[i].id == id {
			r = c.ended[i]
		}
	}
	if r == nil {
		return h, nil, false
	}
	return r.history(), r.last, true
}

// addRTTs gives each entry its round trips, which dst holds.
func (c *recorder) addRTTs(list []entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for i := range list {
		if r := c.records[list[i].id]; r != nil {
			n += len(r.rtts)
		}
	}
	dst := make([]float32, 0, n)
	for i := range list {
		if r := c.records[list[i].id]; r != nil {
			from := len(dst)
			dst = r.roundTrips(dst)
			list[i].rtts = dst[from:len(dst):len(dst)]
		}
	}
}

// end completes an entry with its last event.
func (e *entry) end(last holdfast.Event) {
	e.ended = last.Time
	e.stats.State, e.stats.Transport = holdfast.StateClosed, last.Transport
	var closed *holdfast.CloseError
	switch {
	case errors.Is(last.Err, holdfast.ErrClosed) && errors.As(last.Err, &closed):
		e.why = "closed by this side: " + closed.Code.String()
	case errors.Is(last.Err, holdfast.ErrClosed):
		e.why = "closed by this side"
	case last.Err != nil:
		e.why = errorText(last.Err)
	}
	e.lastErr, e.failed = e.lastError(), true
	e.stats.LastError = nil // it may hold on to much
}
