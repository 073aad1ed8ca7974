package server

import (
	"errors"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	members "github.com/holdfast-ws/holdfast/internal/registry"
)

// maxEvents bounds what waits for those who watch; beyond it the oldest goes.
const maxEvents = 256

// observer is what a session's links have come to, and hands its events to
// those who watch the process, in order. Its goroutine lives only while there are
// events, and Shutdown waits for it. Its lock is taken last.
type observer struct {
	session *Session
	member  *members.Member // there before the session is anybody's

	mu        sync.Mutex
	state     holdfast.State
	transport string
	since     time.Time // of the link
	epoch     uint64
	links     uint64
	rtt       time.Duration
	lastErr   error
	queue     []any // holdfast.Event, or the time.Duration of a round trip
	running   bool
	ended     bool
}

// linked is a new link of the session; kind says how it has come.
func (o *observer) linked(kind holdfast.EventKind, resumed bool, transport string, now time.Time) {
	o.mu.Lock()
	o.links++
	o.transport, o.since = transport, now
	o.change(holdfast.StateConnected)
	o.tell(holdfast.Event{Time: now, Kind: kind, Resumed: resumed})
}

// lost is the end of the link, which no other one has replaced.
func (o *observer) lost(err error, at time.Time) {
	o.mu.Lock()
	transport := o.transport
	o.transport, o.since, o.lastErr = "", time.Time{}, err
	o.change(holdfast.StateWaiting)
	o.tell(holdfast.Event{Time: at, Kind: holdfast.EventDisconnected, Transport: transport, Err: err})
}

// closing begins the close.
func (o *observer) closing() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.change(holdfast.StateClosing)
}

// change is to a state that Closing does not give way to.
func (o *observer) change(to holdfast.State) {
	if o.state != holdfast.StateClosing {
		o.state = to
	}
}

// gap hears of frames that the client has left out.
func (o *observer) gap(count, epoch uint64) {
	o.mu.Lock()
	o.epoch = epoch
	o.tell(holdfast.Event{Time: time.Now(), Kind: holdfast.EventGap, Count: int(count)})
}

// dropped hears of messages that gave way in the send buffer.
func (o *observer) dropped(n int, err error) {
	if !members.Watched() {
		return
	}
	o.mu.Lock()
	if i := len(o.queue) - 1; i >= 0 { // a flood of drops is one event
		if last, ok := o.queue[i].(holdfast.Event); ok && last.Kind == holdfast.EventDropped && errors.Is(last.Err, err) {
			last.Count += n
			o.queue[i] = last
			o.mu.Unlock()
			return
		}
	}
	o.tell(holdfast.Event{Time: time.Now(), Kind: holdfast.EventDropped, Count: n, Err: err})
}

// measured hears of round trips.
func (o *observer) measured(rtt time.Duration) {
	o.mu.Lock()
	o.rtt = rtt
	o.enqueue(rtt)
}

// close is the session's end, and the last event.
func (o *observer) close(err error) {
	o.mu.Lock()
	transport := o.transport
	o.transport, o.since = "", time.Time{}
	if !errors.Is(err, holdfast.ErrClosed) {
		o.lastErr = err
	}
	o.state = holdfast.StateClosed
	o.tell(holdfast.Event{Time: time.Now(), Kind: holdfast.EventClosed, Transport: transport, Err: err})
}

// tell completes an event and hands it on. It releases the lock.
func (o *observer) tell(e holdfast.Event) {
	ends := e.Kind == holdfast.EventClosed
	if !o.running && !members.Watched() {
		over := o.ended
		o.ended = o.ended || ends
		o.mu.Unlock()
		if ends && !over {
			o.member.Remove()
		}
		return
	}
	e.State, e.Epoch, e.Endpoint = o.state, o.epoch, endpoint(o.session.req)
	if e.Transport == "" {
		e.Transport = o.transport
	}
	o.enqueue(e)
}

// enqueue hands on what is told of a session that has not ended. It releases the
// lock.
func (o *observer) enqueue(item any) {
	if o.ended || !o.running && !members.Watched() {
		o.mu.Unlock()
		return
	}
	if e, ok := item.(holdfast.Event); ok {
		o.ended = e.Kind == holdfast.EventClosed
	}
	if len(o.queue) >= maxEvents {
		o.queue = o.queue[1:]
	}
	o.queue = append(o.queue, item)
	start := !o.running
	o.running = true
	o.mu.Unlock()
	if start {
		o.session.srv.retain()
		go o.run()
	}
}

func (o *observer) run() {
	defer o.session.srv.leave()
	for {
		o.mu.Lock()
		if len(o.queue) == 0 {
			o.running, o.queue = false, nil
			ended := o.ended
			o.mu.Unlock()
			if ended {
				o.member.Remove()
			}
			return
		}
		item := o.queue[0]
		o.queue = o.queue[1:]
		o.mu.Unlock()
		switch item := item.(type) {
		case holdfast.Event:
			o.member.Event(item)
		case time.Duration:
			o.member.RTT(item)
		}
	}
}
