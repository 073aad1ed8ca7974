package demo

import (
	"time"

	"github.com/holdfast-ws/holdfast"
)

const (
	sampleEvery = 100 * time.Millisecond
	rateOver    = time.Second / sampleEvery // samples that a rate is taken over
	silentAfter = 30 * pace                 // with nothing received a link looks dead
)

// view shows a run.
type view interface {
	show(s sample, news []entry)
	end(t *tally)
	// interrupted makes ready for an end at any moment. It may be called while
	// another method runs.
	interrupted()
}

// sample is what there is to see at one moment.
type sample struct {
	at    time.Duration // since the start
	marks []mark
	lanes []laneSample
}

// mark is where a fault began.
type mark struct {
	name string
	at   time.Duration
}

// laneSample is one lane's part of it, from Stats and Events.
type laneSample struct {
	name           string
	cell           cell
	state          holdfast.State
	transport      string
	attempt        int           // under way or next; 0 while connected
	left           time.Duration // of the delay
	rtt            time.Duration // 0: not measured yet
	queued         int
	unacknowledged int
	sent, received int // messages in the last second
}

// cell is a moment of a lane in the timeline; a higher one hides a lower.
type cell byte

const (
	cellConnected cell = iota
	cellFallback       // connected over another transport than WebSocket
	cellIdle           // neither connected nor trying: closing and closed
	cellOffline
	cellRetrying
	cellSilent // connected, but nothing comes through
)

// watcher takes samples of a demo.
type watcher struct {
	d       *demo
	history [][]holdfast.Stats // by lane, the latest rateOver ones
}

func newWatcher(d *demo) *watcher {
	return &watcher{d: d, history: make([][]holdfast.Stats, len(d.lanes))}
}

func (w *watcher) sample(now time.Time) sample {
	s := sample{at: now.Sub(w.d.start), marks: w.d.marked()}
	_, hushed := w.d.service.flags()
	for i, l := range w.d.lanes {
		stats := l.conn.Stats()
		h := append(w.history[i], stats)
		if len(h) > int(rateOver)+1 {
			h = h[1:]
		}
		w.history[i] = h
		ls := laneSample{
			name: l.name, state: stats.State, transport: stats.Transport, rtt: stats.RTT, queued: stats.Queued, unacknowledged: stats.Unacknowledged,
			sent: int(stats.MessagesSent - h[0].MessagesSent), received: int(stats.MessagesReceived - h[0].MessagesReceived),
		}
		switch stats.State {
		case holdfast.StateConnected:
			if stats.Transport != websocket {
				ls.cell = cellFallback
			}
			if !hushed && now.Sub(l.heard()) > silentAfter && now.Sub(stats.ConnectedSince) > silentAfter {
				ls.cell = cellSilent
			}
		case holdfast.StateOffline:
			ls.cell = cellOffline
		case holdfast.StateConnecting, holdfast.StateWaiting:
			ls.cell = cellRetrying
			ls.attempt, ls.left = l.progress(now)
		default:
			ls.cell = cellIdle
		}
		s.lanes = append(s.lanes, ls)
	}
	return s
}

// progress says which attempt is under way or next, and how long the delay
// before it still runs.
func (l *lane) progress(now time.Time) (attempt int, left time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return 0, 0
	}
	switch e := l.events[len(l.events)-1]; e.Kind {
	case holdfast.EventConnecting:
		return e.Attempt, 0
	case holdfast.EventWaiting:
		return e.Attempt + 1, max(0, e.Time.Add(e.Delay).Sub(now))
	}
	return 0, 0
}

// heard is when something arrived last.
func (l *lane) heard() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastArrival
}
