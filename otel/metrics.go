package holdfastotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
)

// instruments are those that events are written to, and those that Stats are
// when metrics are collected.
type instruments struct {
	reconnects, attempts, failures, fallbacks, upgrades, gaps metric.Int64Counter
	rtt, dial                                                 metric.Float64Histogram

	connections, queued, queuedBytes, unacknowledged metric.Int64ObservableUpDownCounter
	messages, bytes, drops, unknown                  metric.Int64ObservableCounter
}

var (
	dialBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	rttBounds  = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
)

// register makes the instruments, and has collect called.
func (w *watcher) register(m metric.Meter) (metric.Registration, error) {
	var errs []error
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	histogram := func(name, description string, bounds []float64) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description), metric.WithExplicitBucketBoundaries(bounds...))
		errs = append(errs, err)
		return h
	}
	total := func(name, unit, description string) metric.Int64ObservableCounter {
		c, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	level := func(name, unit, description string) metric.Int64ObservableUpDownCounter {
		c, err := m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	i := &w.instruments
	*i = instruments{
		connections:    level("holdfast.connection.count", "{connection}", "Connections (Conns, Sessions) that have not closed."),
		reconnects:     counter("holdfast.connection.reconnects", "{reconnect}", "Links after the first, by how the one before was lost."),
		rtt:            histogram("holdfast.connection.rtt", "Round trips that pings have measured.", rttBounds),
		attempts:       counter("holdfast.dial.attempts", "{attempt}", "Attempts to connect that began."),
		failures:       counter("holdfast.dial.failures", "{attempt}", "Attempts to connect that failed, by class; failed probes of WebSocket too."),
		dial:           histogram("holdfast.dial.duration", "How long attempts took, until they were connected or had failed.", dialBounds),
		fallbacks:      counter("holdfast.transport.fallbacks", "{fallback}", "Links made by a fallback, by what WebSocket failed of."),
		upgrades:       counter("holdfast.transport.upgrades", "{upgrade}", "Sessions that WebSocket has taken over from a fallback."),
		messages:       total("holdfast.messages", "{message}", "Messages sent and received."),
		bytes:          total("holdfast.io", "By", "Bytes of messages' payloads sent and received."),
		drops:          total("holdfast.message.drops", "{message}", "Accepted messages that were dropped from the send buffer."),
		unknown:        total("holdfast.message.unknown", "{message}", "Messages of unknown fate: sent, and never acknowledged."),
		gaps:           counter("holdfast.message.gaps", "{gap}", "Times at which messages may be missing on the receiving side."),
		unacknowledged: level("holdfast.message.unacknowledged", "{message}", "Messages sent without a receipt so far."),
		queued:         level("holdfast.queue.messages", "{message}", "Messages that wait to be sent, or for the program to receive them."),
		queuedBytes:    level("holdfast.queue.size", "By", "Bytes of the messages that wait."),
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m.RegisterCallback(w.collect, i.connections, i.messages, i.bytes, i.drops, i.unknown, i.unacknowledged, i.queued, i.queuedBytes)
}

// maxSeries bounds the endpoints that are told apart.
const maxSeries = 1000

// series are the sums of one target: of all that ever were, and of what is there
// now.
type series struct {
	attributes []attribute.KeyValue
	set        attribute.Set // of attributes
	total      totals
	now        levels
}

type totals struct{ sent, sentBytes, received, receivedBytes, dropped, unknown uint64 }

type levels struct{ queued, queuedBytes, receiveQueued, receiveQueuedBytes, unacknowledged int64 }

// place is where a connection is counted.
type place struct {
	series           *series
	state, transport string
}

func (s *series) with(more ...attribute.KeyValue) metric.MeasurementOption {
	if len(more) == 0 {
		return metric.WithAttributeSet(s.set)
	}
	return metric.WithAttributes(append(more, s.attributes...)...)
}

// seriesOf is the target's. The lock is held.
func (w *watcher) seriesOf(t target) *series {
	if w.series[t] == nil && len(w.series) >= maxSeries {
		t = target{role: t.role, overflow: true}
	}
	s := w.series[t]
	if s == nil {
		s = &series{attributes: t.attributes()}
		s.set = attribute.NewSet(s.attributes...)
		w.series[t] = s
	}
	return s
}

// account adds what a member has counted since the last time. The lock is held.
func (w *watcher) account(t *tracked, st holdfast.Stats) {
	s, last := w.at(t, st.Endpoint), &t.last
	add := func(total, last *uint64, now uint64) {
		if now > *last {
			*total += now - *last
			*last = now
		}
	}
	add(&s.total.sent, &last.sent, st.MessagesSent)
	add(&s.total.sentBytes, &last.sentBytes, st.BytesSent)
	add(&s.total.received, &last.received, st.MessagesReceived)
	add(&s.total.receivedBytes, &last.receivedBytes, st.BytesReceived)
	add(&s.total.dropped, &last.dropped, st.Dropped)
	add(&s.total.unknown, &last.unknown, st.Unknown)
}

// collect reads the Stats of all members. It asks for none under the lock, which
// Removed may wait for under a lock of the member's.
func (w *watcher) collect(_ context.Context, o metric.Observer) error {
	w.collecting.Lock()
	defer w.collecting.Unlock()
	w.mu.Lock()
	w.discover()
	members := make(map[*registry.Member]*tracked, len(w.tracked))
	for m, t := range w.tracked {
		if !t.final {
			members[m] = t
		}
	}
	for _, s := range w.series {
		s.now = levels{}
	}
	w.zeroCounts()
	w.mu.Unlock()

	for m, t := range members {
		st := statsOf(m)
		w.mu.Lock()
		if !t.final && !w.closed && st.State != holdfast.StateClosed {
			w.account(t, st)
			s := w.at(t, st.Endpoint)
			w.counts[place{s, underscored(st.State.String()), transportName(st.Transport)}]++
			s.now.queued += int64(st.Queued)
			s.now.queuedBytes += st.QueuedBytes
			s.now.receiveQueued += int64(st.ReceiveQueued)
			s.now.receiveQueuedBytes += st.ReceiveQueuedBytes
			s.now.unacknowledged += int64(st.Unacknowledged)
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	all := make([]series, 0, len(w.series))
	for _, s := range w.series {
		all = append(all, *s)
	}
	type count struct {
		place
		n int64
	}
	counts := make([]count, 0, len(w.counts))
	for p, n := range w.counts {
		counts = append(counts, count{p, n})
	}
	w.mu.Unlock()

	i := &w.instruments
	for _, c := range counts {
		o.ObserveInt64(i.connections, c.n, c.series.with(keyState.String(c.state), keyTransport.String(c.transport)))
	}
	for _, s := range all {
		out, in := s.with(semconv.NetworkIODirectionTransmit), s.with(semconv.NetworkIODirectionReceive)
		o.ObserveInt64(i.messages, int64(s.total.sent), out)
		o.ObserveInt64(i.messages, int64(s.total.received), in)
		o.ObserveInt64(i.bytes, int64(s.total.sentBytes), out)
		o.ObserveInt64(i.bytes, int64(s.total.receivedBytes), in)
		o.ObserveInt64(i.queued, s.now.queued, out)
		o.ObserveInt64(i.queued, s.now.receiveQueued, in)
		o.ObserveInt64(i.queuedBytes, s.now.queuedBytes, out)
		o.ObserveInt64(i.queuedBytes, s.now.receiveQueuedBytes, in)
		o.ObserveInt64(i.drops, int64(s.total.dropped), s.with())
		o.ObserveInt64(i.unknown, int64(s.total.unknown), s.with())
		o.ObserveInt64(i.unacknowledged, s.now.unacknowledged, s.with())
	}
	return nil
}

// zeroCounts sets the counts to 0: a place that was counted once goes on to be, so
// that its last value is none that stays. The lock is held.
func (w *watcher) zeroCounts() {
	for p := range w.counts {
		w.counts[p] = 0
	}
}
