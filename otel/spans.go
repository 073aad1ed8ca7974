package holdfastotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-ws/holdfast"
)

const spanName = "holdfast dial"

// canceled is the error.type of an attempt that was given up: for another one,
// because this host went offline, or at the end of the Conn.
const canceled = "canceled"

// dial is an attempt under way, and the span of the one before.
type dial struct {
	since  time.Time // zero: there is none
	span   trace.Span
	last   trace.SpanContext
	closed bool
}

// next returns the attempt that an event ends, and whether it begins one. The
// lock is held.
func (d *dial) next(e holdfast.Event) (before dial, begins bool) {
	before = *d
	switch e.Kind {
	case holdfast.EventConnecting:
		begins = !d.closed
	case holdfast.EventConnected, holdfast.EventOffline, holdfast.EventWaiting, holdfast.EventClosed:
	case holdfast.EventAttemptFailed:
		if e.Attempt == 0 { // of a link beside the present one
			return dial{}, false
		}
	default:
		return dial{}, false
	}
	if d.span != nil {
		d.last = d.span.SpanContext()
	}
	before.last = d.last
	d.since, d.span = time.Time{}, nil
	if begins {
		d.since = e.Time
	}
	return before, begins
}

// close returns a span that is to be ended. The lock is held.
func (d *dial) close() trace.Span {
	s := d.span
	d.closed, d.span, d.since = true, nil, time.Time{}
	return s
}

// start begins the span of an attempt.
func (w *watcher) start(t *tracked, e holdfast.Event, before dial, s *series) {
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(e.Time),
		trace.WithAttributes(s.attributes...),
		trace.WithAttributes(keyAttempt.Int(e.Attempt), semconv.NetworkTransportTCP),
		trace.WithAttributes(carrier(e.Transport)...),
	}
	if before.last.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: before.last}))
	}
	_, span := w.tracer.Start(context.Background(), spanName, options...)
	w.mu.Lock()
	closed := t.dial.closed
	if !closed {
		t.dial.span = span
	}
	w.mu.Unlock()
	if closed {
		abandon(span, time.Now())
	}
}

func carrier(transport string) []attribute.KeyValue {
	if transport == "" {
		return nil
	}
	return []attribute.KeyValue{keyTransport.String(transport), semconv.NetworkProtocolName(protocol(transport))}
}

// finish ends an attempt with the event that ended it.
func (w *watcher) finish(d dial, e holdfast.Event, s *series) {
	if d.since.IsZero() {
		return
	}
	ctx := context.Background()
	if d.span != nil {
		ctx = trace.ContextWithSpan(ctx, d.span)
	}
	took := max(e.Time.Sub(d.since), 0).Seconds()
	switch e.Kind {
	case holdfast.EventConnected:
		w.instruments.dial.Record(ctx, took, s.with())
		if d.span != nil { // the fallback may have come first
			d.span.SetAttributes(carrier(e.Transport)...)
			d.span.SetStatus(codes.Ok, "")
		}
	case holdfast.EventAttemptFailed:
		w.instruments.dial.Record(ctx, took, s.with(semconv.ErrorTypeKey.String(errorType(e.Err))))
		fail(d.span, e)
	default:
		abandon(d.span, e.Time)
		return
	}
	if d.span != nil {
		d.span.End(trace.WithTimestamp(e.Time))
	}
}

// fail writes down what an attempt failed of.
func fail(span trace.Span, e holdfast.Event) {
	if span == nil {
		return
	}
	class := errorType(e.Err)
	attributes := []attribute.KeyValue{semconv.ErrorTypeKey.String(class), phase(e.Err)}
	span.SetAttributes(attributes...)
	var dial *holdfast.DialError
	if errors.As(e.Err, &dial) && dial.StatusCode > 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(dial.StatusCode))
	}
	span.RecordError(e.Err, trace.WithTimestamp(e.Time), trace.WithAttributes(attributes...))
	span.SetStatus(codes.Error, class)
}

// abandon ends the span of an attempt without a result. nil is fine.
func abandon(span trace.Span, at time.Time) {
	if span == nil {
		return
	}
	span.SetAttributes(semconv.ErrorTypeKey.String(canceled))
	span.SetStatus(codes.Error, canceled)
	span.End(trace.WithTimestamp(at))
}

// phase is how far an attempt came; "none" where it was none.
func phase(err error) attribute.KeyValue {
	var dial *holdfast.DialError
	if errors.As(err, &dial) {
		return keyPhase.String(dial.Phase.String())
	}
	return keyPhase.String("none")
}
