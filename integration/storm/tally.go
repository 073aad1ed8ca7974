package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/integration/internal/stream"
)

// The transports that messages to the client are counted by.
const (
	overWebSocket = iota
	overLongPoll
	transports
)

// event follows what the Conn tells.
func (r *run) event(e holdfast.Event) {
	switch e.Transport {
	case "websocket":
		if e.Kind == holdfast.EventConnected || e.Kind == holdfast.EventUpgraded {
			r.over.Store(overWebSocket)
		}
	case "longpoll":
		if e.Kind == holdfast.EventConnected || e.Kind == holdfast.EventFellBack {
			r.over.Store(overLongPoll)
		}
	}
	switch e.Kind {
	case holdfast.EventConnected:
		r.links.Add(1)
	case holdfast.EventDisconnected:
		r.losses.Add(1)
	case holdfast.EventFellBack:
		r.fallbacks.Add(1)
	case holdfast.EventUpgraded:
		r.upgrades.Add(1)
	case holdfast.EventGap, holdfast.EventDropped:
		r.violation(fmt.Errorf("the client's event %q: %d messages, %w", e.Kind, e.Count, e.Err))
	}
	if r.verbose {
		fmt.Fprintf(r.out, "%8.3f  %s, %s, epoch %d, resumed %v: %v\n", time.Since(r.started).Seconds(), e.Kind, e.Transport, e.Epoch, e.Resumed, e.Err)
	}
}

// count notes a fault. One that found nothing to break is none.
func (r *run) count(kind string, happened bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.verbose {
		fmt.Fprintf(r.out, "%8.3f  fault: %s, %v\n", time.Since(r.started).Seconds(), kind, happened)
	}
	if happened {
		r.faults[kind]++
		r.struck++
	}
}

// happened is how many faults there have been.
func (r *run) happened() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.struck
}

func (r *run) standing() string {
	s := r.conn.Stats()
	return fmt.Sprintf("%v over %q, %d messages up, %d down, %d released; %d queued, %d unacknowledged, last error %v",
		s.State, s.Transport, r.up.Received.Load(), r.down.Received.Load(), r.released, s.Queued, s.Unacknowledged, s.LastError)
}

// progress prints how far the run is.
func (r *run) progress() {
	s := r.conn.Stats()
	fmt.Fprintf(r.out, "%6.1f s  %-9s  up %d, down %d of %d  faults %d of %d  links %d, fallbacks %d, upgrades %d\n",
		time.Since(r.started).Seconds(), s.Transport, r.up.Received.Load(), r.down.Received.Load(), r.messages,
		r.happened(), r.wanted, r.links.Load(), r.fallbacks.Load(), r.upgrades.Load())
}

// tally prints what the run came to.
func (r *run) tally(w io.Writer, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(w, "\n%d faults\n", r.struck)
	for _, kind := range slices.Sorted(maps.Keys(r.faults)) {
		fmt.Fprintf(w, "%6d  %s\n", r.faults[kind], kind)
	}
	fmt.Fprintln(w, "WebSocket handshakes")
	for how, n := range r.proxy.handshakes() {
		if n > 0 {
			fmt.Fprintf(w, "%6d  %s\n", n, refusalNames[how])
		}
	}
	fmt.Fprintln(w, "links")
	fmt.Fprintf(w, "%6d  connected, of which the first is not a resumption\n%6d  lost\n%6d  fallbacks to polling\n%6d  upgrades to WebSocket without a break\n",
		r.links.Load(), r.losses.Load(), r.fallbacks.Load(), r.upgrades.Load())
	socket, polls := r.carried[overWebSocket].Load(), r.carried[overLongPoll].Load()
	if all := socket + polls; all > 0 {
		fmt.Fprintf(w, "%5.1f%%  of the messages to the client came over WebSocket, %.1f%% over polling\n", 100*float64(socket)/float64(all), 100*float64(polls)/float64(all))
	}
	fmt.Fprintln(w, "messages")
	for _, s := range []*stream.Stream{&r.up, &r.down} {
		n := s.Received.Load()
		fmt.Fprintf(w, "%8d of %d %s, %.1f MB, %.0f a second\n", n, r.messages, s.Name, float64(s.Bytes.Load())/1e6, float64(n)/took.Seconds())
	}
	if len(r.violations) == 0 {
		fmt.Fprintf(w, "none lost, none doubled, none out of order, in %.1f s (seed %d)\n", took.Seconds(), r.seed)
		return
	}
	for _, err := range r.violations {
		fmt.Fprintf(w, "VIOLATION: %v\n", err)
	}
	fmt.Fprintf(w, "FAILED after %.1f s: run again with -seed %d\n", took.Seconds(), r.seed)
}
