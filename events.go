package holdfast

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/internal/registry"
)

// Event is something that happened to a Conn.
type Event struct {
	// Time is when it happened, Kind what.
	Time time.Time
	Kind EventKind
	// State is the one that the event leads to.
	State State
	// Transport and Endpoint are the ones in use or tried; Endpoint is the URL
	// without user-info and query values.
	Transport, Endpoint string
	// Attempt counts the attempts since the last connection, from 1; 0 for
	// events that do not belong to an attempt, and for probes of WebSocket.
	Attempt int
	// Delay is how long the Conn waits (EventWaiting).
	Delay time.Duration
	// Epoch is the present Message.Epoch; Resumed says that a session goes on
	// over the link, so that no message is missing (EventConnected,
	// EventFellBack, EventUpgraded).
	Epoch   uint64
	Resumed bool
	// Count is how many messages: of unknown fate, because a link without a
	// session or the session itself was lost (EventDisconnected), and dropped
	// (EventDropped). With EventGap it is how many frames the peer has left
	// out of a session: at least one message, and one of over 64 KiB is several
	// frames. It is 0 where the number is not known.
	Count int
	// Err is the failure: a *DialError, a *CloseError, or the error that ended
	// the Conn. EventClosed has ErrClosed after a local close.
	Err error
}

// EventKind is the kind of an Event.
type EventKind int

const (
	// EventConnecting: an attempt begins.
	EventConnecting EventKind = iota
	// EventConnected: a link is up and OnConnect is done. With Resumed in
	// StateConnected, another link has replaced the present one because the
	// server asked for that.
	EventConnected
	// EventDisconnected: the link is lost. Its session is lost with it only if
	// the server has ended it, or does not know it any more.
	EventDisconnected
	// EventAttemptFailed: an attempt has failed. In StateConnected it was one to
	// make a link beside the present one, which goes on.
	EventAttemptFailed
	// EventWaiting: the next attempt comes after Delay.
	EventWaiting
	// EventOffline: this host has no way to the server.
	EventOffline
	// EventOnline: there is a way again.
	EventOnline
	// EventNetworkChanged: links, addresses or routes of this host changed
	// while connected.
	EventNetworkChanged
	// EventFellBack follows EventConnected: Options.Fallback has made the link.
	// Err, a *DialError, says why WebSocket has not: what it failed of, that
	// it is still under way, or that it failed before and so came second.
	EventFellBack
	// EventUpgraded: WebSocket has taken the session over from the fallback. It
	// comes without EventDisconnected and EventConnected.
	EventUpgraded
	// EventGap: messages may be missing on the receiving side; Epoch has grown.
	// It follows the EventConnected of each link that does not resume, but the
	// first; in a session it comes when the peer had to drop messages.
	EventGap
	// EventDropped: accepted messages were dropped from the send buffer. Err
	// wraps ErrDropped, ErrStale, or ErrMessageTooBig (for the server of a
	// session). Otherwise a session was lost between two links, Err says
	// why, and Count messages are not dropped but of unknown fate, and counted in
	// Stats.Unknown.
	EventDropped
	// EventClosed is the last one.
	EventClosed
)

var eventNames = [...]string{"connecting", "connected", "disconnected", "attempt failed", "waiting", "offline", "online",
	"network changed", "fell back", "upgraded", "gap", "dropped", "closed"}

// String returns the kind's name in lower case.
func (k EventKind) String() string {
	if k < 0 || int(k) >= len(eventNames) {
		return "EventKind(" + strconv.Itoa(int(k)) + ")"
	}
	return eventNames[k]
}

// routine events give way when the observer is slow.
func (k EventKind) routine() bool {
	switch k {
	case EventConnecting, EventAttemptFailed, EventWaiting, EventNetworkChanged:
		return true
	}
	return false
}

const maxEvents = 1024

// observer hands events to those who watch the process, the Logger and OnEvent, in
// order. Its goroutine lives only while there are events; at most one runs.
type observer struct {
	member  *registry.Member
	logger  *slog.Logger
	onEvent func(Event)
	done    chan struct{} // closed after EventClosed

	mu      sync.Mutex
	queue   []Event
	running bool
	closed  bool
}

// newObserver makes c a member of the registry, until the last event.
func newObserver(o *Options, c *Conn) *observer {
	return &observer{member: registry.Add(c), logger: o.Logger, onEvent: o.OnEvent, done: make(chan struct{})}
}

// emit queues an event; it never blocks.
func (b *observer) emit(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = e.Kind == EventClosed
	if b.logger == nil && b.onEvent == nil && !b.running && !registry.Watched() {
		if b.closed {
			b.end()
		}
		return
	}
	if n := len(b.queue); e.Kind == EventDropped && n > 0 { // a flood of drops is one event
		if last := &b.queue[n-1]; last.Kind == EventDropped && errors.Is(last.Err, e.Err) {
			last.Count += e.Count
			return
		}
	}
	if len(b.queue) >= maxEvents {
		b.makeRoom()
	}
	b.queue = append(b.queue, e)
	if !b.running {
		b.running = true
		go b.run()
	}
}

// makeRoom drops the oldest routine event, or else the oldest.
func (b *observer) makeRoom() {
	drop := 0
	for i, e := range b.queue {
		if e.Kind.routine() {
			drop = i
			break
		}
	}
	b.queue = append(b.queue[:drop], b.queue[drop+1:]...)
}

func (b *observer) run() {
	for {
		b.mu.Lock()
		if len(b.queue) == 0 {
			b.running, b.queue = false, nil
			closed := b.closed
			b.mu.Unlock()
			if closed {
				b.end()
			}
			return
		}
		e := b.queue[0]
		b.queue = b.queue[1:]
		b.mu.Unlock()
		b.member.Event(e)
		if b.logger != nil {
			b.log(e)
		}
		if b.onEvent != nil {
			b.onEvent(e)
		}
	}
}

// end follows EventClosed.
func (b *observer) end() {
	b.member.Remove()
	close(b.done)
}

func (b *observer) log(e Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case EventConnecting, EventWaiting, EventNetworkChanged:
		level = slog.LevelDebug
	case EventDisconnected, EventAttemptFailed, EventOffline, EventDropped:
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("state", e.State.String()), slog.String("endpoint", e.Endpoint)}
	if e.Transport != "" {
		attrs = append(attrs, slog.String("transport", e.Transport))
	}
	if e.Attempt > 0 {
		attrs = append(attrs, slog.Int("attempt", e.Attempt))
	}
	if e.Delay > 0 {
		attrs = append(attrs, slog.Duration("delay", e.Delay))
	}
	if e.Epoch > 0 {
		attrs = append(attrs, slog.Uint64("epoch", e.Epoch))
	}
	if e.Count > 0 {
		attrs = append(attrs, slog.Int("messages", e.Count))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	b.logger.LogAttrs(context.Background(), level, "holdfast: "+e.Kind.String(), attrs...)
}
