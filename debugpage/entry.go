package debugpage

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
	"github.com/holdfast-ws/holdfast/server"
)

const (
	kindConn    = "conn"
	kindSession = "session"
)

// entry is one member as it is shown.
type entry struct {
	id                                      uint64
	kind                                    string
	since, ended                            time.Time
	stats                                   holdfast.Stats
	session, principal, remote, subprotocol string
	rtts                                    []float32 // milliseconds, the oldest first
	why                                     string    // it has ended

	lastErr string // the text of stats.LastError, once failed is set
	failed  bool
}

// source is what a Conn and a Session have in common.
type source interface {
	Stats() holdfast.Stats
	Subprotocol() string
}

// statsOf returns the snapshot of a member; false if it is no Conn or Session.
func statsOf(m *registry.Member) (holdfast.Stats, bool) {
	switch v := m.Value.(type) {
	case *holdfast.Conn:
		if v != nil {
			return v.Stats(), true
		}
	case *server.Session:
		if v != nil {
			return v.Stats(), true
		}
	}
	return holdfast.Stats{}, false
}

// newEntry takes the present state of a member; nil if it is neither Conn nor
// Session.
func newEntry(m *registry.Member) *entry {
	e := &entry{}
	if !e.take(m) {
		return nil
	}
	return e
}

func (e *entry) take(m *registry.Member) bool {
	s, ok := statsOf(m)
	if !ok {
		return false
	}
	*e = entry{id: m.ID, kind: kindConn, since: m.Since, stats: s}
	if v, ok := m.Value.(*server.Session); ok {
		e.kind, e.session, e.principal, e.remote = kindSession, v.ID(), clip(v.Principal()), clip(v.Request().RemoteAddr)
	}
	e.subprotocol = clip(m.Value.(source).Subprotocol())
	return true
}

// lastError is the text of the last failure, "" for none.
func (e *entry) lastError() string {
	if !e.failed && e.stats.LastError != nil {
		e.lastErr = errorText(e.stats.LastError)
	}
	e.failed = true
	return e.lastErr
}

// share is how full the send buffer is, from 0 to 1: by messages or by bytes,
// whichever is more. In a session what is not acknowledged is there too.
func (e *entry) share() float64 {
	s, share := &e.stats, 0.0
	if s.QueueLimit > 0 {
		share = float64(s.Queued) / float64(s.QueueLimit)
	}
	if s.QueueBytesLimit > 0 {
		share = max(share, float64(s.QueuedBytes)/float64(s.QueueBytesLimit))
	}
	return min(share, 1)
}

// reconnects is how many links there were but for the first.
func (e *entry) reconnects() uint64 { return max(e.stats.Connects, 1) - 1 }

// trouble is 0 for those that need to be looked at first.
func (e *entry) trouble() int {
	switch e.stats.State {
	case holdfast.StateWaiting, holdfast.StateOffline:
		return 0
	case holdfast.StateConnecting:
		return 1
	case holdfast.StateClosing:
		return 2
	}
	return 3
}

// orders are the columns to sort by.
var orders = map[string]func(a, b *entry) int{
	"id":        func(a, b *entry) int { return cmp.Compare(a.id, b.id) },
	"kind":      func(a, b *entry) int { return cmp.Compare(a.kind, b.kind) },
	"state":     func(a, b *entry) int { return cmp.Compare(a.trouble(), b.trouble()) },
	"transport": func(a, b *entry) int { return cmp.Compare(a.stats.Transport, b.stats.Transport) },
	"endpoint":  func(a, b *entry) int { return cmp.Compare(a.stats.Endpoint, b.stats.Endpoint) },
	"rtt":       func(a, b *entry) int { return cmp.Compare(a.stats.RTT, b.stats.RTT) },
	"queue":     func(a, b *entry) int { return cmp.Compare(a.share(), b.share()) },
	"sent":      func(a, b *entry) int { return cmp.Compare(a.stats.BytesSent, b.stats.BytesSent) },
	"received":  func(a, b *entry) int { return cmp.Compare(a.stats.BytesReceived, b.stats.BytesReceived) },
	"connects":  func(a, b *entry) int { return cmp.Compare(a.stats.Connects, b.stats.Connects) },
	"age":       func(a, b *entry) int { return b.since.Compare(a.since) },
	"error":     func(a, b *entry) int { return strings.Compare(a.lastError(), b.lastError()) },
}

// gathered is what one page shows.
type gathered struct {
	all     counts
	matched int
	page    int // that is shown: the last one if the view's is behind it
	pages   int
	list    []entry
	ended   []entry
}

// counts are of all members, whatever the filter.
type counts struct {
	total     int
	state     map[string]int
	kind      map[string]int
	transport map[string]int // "" between links
}

// gather takes the state of all, and returns those that the view wants.
func (h *handler) gather(v *view) *gathered {
	members := registry.Members()
	living := make([]entry, 0, len(members))
	for _, m := range members {
		living = living[:len(living)+1]
		if !living[len(living)-1].take(m) {
			living = living[:len(living)-1]
		}
	}
	h.rec.sweep(living)
	g := &gathered{all: counts{total: len(living), state: map[string]int{}, kind: map[string]int{}, transport: map[string]int{}}}
	matched := make([]*entry, 0, len(living))
	for i := range living {
		e := &living[i]
		h.conceal(e)
		g.all.state[e.stats.State.String()]++
		g.all.kind[e.kind]++
		g.all.transport[e.stats.Transport]++
		if v.matches(e) {
			matched = append(matched, e)
		}
	}
	order := orders[v.sort]
	slices.SortStableFunc(matched, func(a, b *entry) int { // they are sorted by id
		if v.down {
			return order(b, a)
		}
		return order(a, b)
	})
	g.matched = len(matched)
	g.pages = max((g.matched+v.per-1)/v.per, 1)
	g.page = min(v.page, g.pages)
	from := (g.page - 1) * v.per
	for _, e := range matched[from:min(from+v.per, len(matched))] {
		g.list = append(g.list, *e)
	}
	h.rec.addRTTs(g.list)
	for _, e := range h.rec.lastEnded() {
		if h.conceal(&e); v.matchesEnded(&e) {
			g.ended = append(g.ended, e)
		}
	}
	return g
}

// conceal takes out what is not to be shown.
func (h *handler) conceal(e *entry) {
	if !h.opts.ShowPrincipals {
		e.principal = ""
	}
}

// detailed is one member with all that is known of it.
type detailed struct {
	entry
	history
	recorded bool
}

// find returns a member that lives, or has ended and is remembered.
func (h *handler) find(id uint64) (*detailed, bool) {
	d := &detailed{}
	var last *entry
	d.history, last, d.recorded = h.rec.recall(id)
	found := last != nil
	if found {
		d.entry = *last
	} else {
		for _, m := range registry.Members() {
			if m.ID == id {
				found = d.entry.take(m)
			}
		}
	}
	d.entry.rtts = d.history.rtts
	h.conceal(&d.entry)
	return d, found
}
