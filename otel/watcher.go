package holdfastotel

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
	hfserver "github.com/holdfast-ws/holdfast/server"
)

// watcher hears of all members, and reads their Stats. Neither a member nor a
// provider is called under mu.
type watcher struct {
	instruments instruments
	tracer      trace.Tracer

	collecting sync.Mutex // one at a time

	mu      sync.Mutex
	closed  bool
	tracked map[*registry.Member]*tracked
	series  map[target]*series
	counts  map[place]int64
}

// tracked is what is remembered of a member that lives.
type tracked struct {
	role     string
	endpoint string // that series is of
	series   *series
	last     totals
	final    bool // nothing more is counted

	linked bool   // it has had a link
	lost   string // how the last one was lost
	dial   dial
}

// statsOf is a member's snapshot.
func statsOf(m *registry.Member) holdfast.Stats {
	if v, ok := m.Value.(interface{ Stats() holdfast.Stats }); ok {
		return v.Stats()
	}
	return holdfast.Stats{State: holdfast.StateClosed}
}

// begin takes note of those that there are.
func (w *watcher) begin() {
	w.mu.Lock()
	w.discover()
	members := make(map[*registry.Member]*tracked, len(w.tracked))
	for m, t := range w.tracked {
		members[m] = t
	}
	w.mu.Unlock()
	for m, t := range members {
		st := statsOf(m)
		w.mu.Lock()
		w.at(t, st.Endpoint)
		t.linked = t.linked || st.Connects > 0
		w.mu.Unlock()
	}
}

// discover tracks all members. One that is removed meanwhile waits for the lock,
// and so goes again. The lock is held.
func (w *watcher) discover() {
	if w.closed {
		return
	}
	for _, m := range registry.Members() {
		w.track(m)
	}
}

// track returns nil after the end. The lock is held.
func (w *watcher) track(m *registry.Member) *tracked {
	if w.closed {
		return nil
	}
	t := w.tracked[m]
	if t == nil {
		t = &tracked{role: client}
		if _, ok := m.Value.(*hfserver.Session); ok {
			t.role = server
		}
		w.tracked[m] = t
	}
	return t
}

// at returns the series of a member at an endpoint, "" for the last one. The lock
// is held.
func (w *watcher) at(t *tracked, endpoint string) *series {
	if t.series == nil || endpoint != "" && endpoint != t.endpoint {
		t.endpoint, t.series = endpoint, w.seriesOf(targetOf(t.role, endpoint))
	}
	return t.series
}

// Event implements registry.Watcher.
func (w *watcher) Event(m *registry.Member, event any) {
	e, ok := event.(holdfast.Event)
	if !ok {
		return
	}
	var last holdfast.Stats
	if e.Kind == holdfast.EventClosed {
		last = statsOf(m)
	}
	w.mu.Lock()
	t := w.track(m)
	if t == nil {
		w.mu.Unlock()
		return
	}
	s := w.at(t, e.Endpoint)
	var reconnect string
	switch e.Kind {
	case holdfast.EventConnected:
		reconnect = t.connected()
	case holdfast.EventDisconnected:
		t.lost = errorType(e.Err)
	case holdfast.EventClosed:
		w.account(t, last)
		t.final = true
	}
	before, begins := t.dial.next(e)
	w.mu.Unlock()

	w.finish(before, e, s)
	i, ctx := &w.instruments, context.Background()
	switch e.Kind {
	case holdfast.EventConnecting:
		i.attempts.Add(ctx, 1, s.with())
	case holdfast.EventConnected:
		if reconnect != "" {
			i.reconnects.Add(ctx, 1, s.with(semconv.ErrorTypeKey.String(reconnect)))
		}
	case holdfast.EventAttemptFailed:
		i.failures.Add(ctx, 1, s.with(semconv.ErrorTypeKey.String(errorType(e.Err)), phase(e.Err)))
	case holdfast.EventFellBack:
		i.fallbacks.Add(ctx, 1, s.fellBack(t.role, e.Err))
	case holdfast.EventUpgraded:
		i.upgrades.Add(ctx, 1, s.with())
	case holdfast.EventGap:
		i.gaps.Add(ctx, 1, s.with())
	}
	if begins {
		w.start(t, e, before, s)
	}
}

// connected notes a link, and says how the one before was lost, "" for the
// first. The lock is held.
func (t *tracked) connected() (reconnect string) {
	if t.linked {
		reconnect = t.lost
		if reconnect == "" { // it was there until the new one had come
			reconnect = "replaced"
		}
	}
	t.linked, t.lost = true, ""
	return reconnect
}

// fellBack are the attributes of a fallback. The server does not know the reason.
func (s *series) fellBack(role string, err error) metric.MeasurementOption {
	if role == server || err == nil {
		return s.with()
	}
	return s.with(semconv.ErrorTypeKey.String(errorType(err)))
}

// RTT implements registry.Watcher.
func (w *watcher) RTT(m *registry.Member, rtt time.Duration) {
	w.mu.Lock()
	t := w.track(m)
	known := t != nil && t.series != nil
	w.mu.Unlock()
	if t == nil {
		return
	}
	var endpoint string
	if !known {
		endpoint = statsOf(m).Endpoint
	}
	w.mu.Lock()
	s := w.at(t, endpoint)
	w.mu.Unlock()
	w.instruments.rtt.Record(context.Background(), rtt.Seconds(), s.with())
}

// Removed implements registry.Watcher.
func (w *watcher) Removed(m *registry.Member) {
	w.mu.Lock()
	t := w.tracked[m]
	delete(w.tracked, m)
	var left trace.Span
	if t != nil {
		left = t.dial.close()
	}
	w.mu.Unlock()
	abandon(left, time.Now())
}

// end forgets all, and ends the spans under way.
func (w *watcher) end() {
	w.mu.Lock()
	w.closed = true
	var left []trace.Span
	for _, t := range w.tracked {
		left = append(left, t.dial.close())
	}
	w.tracked = nil
	w.mu.Unlock()
	now := time.Now()
	for _, s := range left {
		abandon(s, now)
	}
}
