package holdfasttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// TB is what a [Recorder] needs of a test; every testing.TB has it.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Ellipsis stands for any number of events, none too, in [Recorder.AssertKinds].
const Ellipsis holdfast.EventKind = -1

// maxRecorded bounds a Recorder.
const maxRecorded = 4096

// Recorder keeps the events of a Conn, so that a test can wait for them and say
// what they must have been:
//
//	rec := holdfasttest.NewRecorder(t)
//	conn, err := holdfast.Dial(ctx, url, &holdfast.Options{OnEvent: rec.OnEvent})
//	…
//	rec.Wait(time.Minute, holdfast.EventDisconnected)
//	rec.AssertKinds(holdfast.EventConnecting, holdfast.EventConnected, holdfasttest.Ellipsis, holdfast.EventDisconnected)
//
// What fails prints the events as a table, with a mark where they went wrong;
// of very many it prints the first, the last and those around the mark. Events
// come on a goroutine of the Conn's: an assertion about the last ones follows a
// Wait for them, or synctest.Wait, or the Conn's Done.
//
// It keeps the last 4,096 events. All methods are safe for concurrent use, but
// those that can fail belong to the test's goroutine. In a testing/synctest
// bubble, make it inside.
type Recorder struct {
	t TB

	mu      sync.Mutex
	start   time.Time // of the first event ever
	events  []holdfast.Event
	lost    int           // earlier ones, that gave way
	next    int           // index from which Wait looks
	changed chan struct{} // closed and replaced with each event
}

// NewRecorder returns a recorder without events, for t.
func NewRecorder(t TB) *Recorder { return &Recorder{t: t, changed: make(chan struct{})} }

// OnEvent is for holdfast.Options.OnEvent.
func (r *Recorder) OnEvent(e holdfast.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.start.IsZero() {
		r.start = e.Time
	}
	if len(r.events) == maxRecorded {
		r.events = slices.Delete(r.events, 0, 1)
		r.lost++
		r.next = max(r.next-1, 0)
	}
	r.events = append(r.events, e)
	close(r.changed)
	r.changed = make(chan struct{})
}

// Reset forgets all events, for the next part of a test. The table goes on to
// count from the first event ever.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events, r.lost, r.next = nil, 0, 0
}

// Events returns a copy of the events, in order.
func (r *Recorder) Events() []holdfast.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Of returns the events of a kind, in order.
func (r *Recorder) Of(kind holdfast.EventKind) (of []holdfast.Event) {
	for _, e := range r.Events() {
		if e.Kind == kind {
			of = append(of, e)
		}
	}
	return of
}

// String returns the events as a table, of very many the first and the last.
func (r *Recorder) String() string { return r.table().render(-1, "") }

// Wait waits for an event of a kind and returns it, the first one after the
// event that the Wait before has returned; one that has come already counts. It
// ends the test when there is none within d, which in a bubble is virtual time,
// or when the Conn has closed without it.
func (r *Recorder) Wait(d time.Duration, kind holdfast.EventKind) holdfast.Event {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	e, err := r.wait(ctx, kind)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("none came within %v", d)
	}
	if err != nil {
		r.fail(r.t.Fatalf, -1, "", "waiting for %q: %v", name(kind), err)
	}
	return e
}

// WaitContext is [Recorder.Wait] until ctx ends.
func (r *Recorder) WaitContext(ctx context.Context, kind holdfast.EventKind) holdfast.Event {
	r.t.Helper()
	e, err := r.wait(ctx, kind)
	if err != nil {
		r.fail(r.t.Fatalf, -1, "", "waiting for %q: %v", name(kind), err)
	}
	return e
}

func (r *Recorder) wait(ctx context.Context, kind holdfast.EventKind) (e holdfast.Event, err error) {
	if !known(kind) {
		return e, errUnknownKind
	}
	for {
		r.mu.Lock()
		changed, closed := r.changed, false
		for i := r.next; i < len(r.events); i++ {
			if e := r.events[i]; e.Kind == kind {
				r.next = i + 1
				r.mu.Unlock()
				return e, nil
			}
		}
		if n := len(r.events); n > 0 {
			closed = r.events[n-1].Kind == holdfast.EventClosed
		}
		r.mu.Unlock()
		if closed {
			return e, errors.New("the Conn has closed without one")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return e, ctx.Err()
		}
	}
}

var errUnknownKind = errors.New("there is no such kind of event")

func known(kind holdfast.EventKind) bool {
	return kind >= holdfast.EventConnecting && kind <= holdfast.EventClosed
}

func name(kind holdfast.EventKind) string {
	if kind == Ellipsis {
		return "…"
	}
	return kind.String()
}

// fail reports a failure above the table, with a mark at a row: -1 marks none,
// and one past the last row the end.
func (r *Recorder) fail(report func(format string, args ...any), row int, mark, format string, args ...any) {
	r.t.Helper()
	report("%s\n%s", fmt.Sprintf(format, args...), r.table().render(row, mark))
}
