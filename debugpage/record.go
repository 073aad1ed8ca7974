package debugpage

import (
	"container/list"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/deque"
	"github.com/holdfast-ws/holdfast/internal/redact"
)

// The bounds of what is recorded.
const (
	maxEvents     = 200 // of a member
	maxRTTs       = 60  // of a member
	maxAllEvents  = 50_000
	maxRecords    = 50_000
	maxEnded      = 50
	maxTextLength = 300 // bytes
)

// happening is an event as it is kept: without what an error may hold on to.
type happening struct {
	at                  int64 // Unix, in nanoseconds
	kind                holdfast.EventKind
	state               holdfast.State
	resumed, closedHere bool // closedHere: by a close of this side
	attempt, count      int
	delay               time.Duration
	epoch               uint64
	transport, endpoint string
	err                 string
}

func newHappening(e holdfast.Event) happening {
	h := happening{at: e.Time.UnixNano(), kind: e.Kind, state: e.State, resumed: e.Resumed, attempt: e.Attempt, count: e.Count,
		delay: e.Delay, epoch: e.Epoch, transport: e.Transport, endpoint: clip(e.Endpoint)}
	if e.Err != nil {
		h.err, h.closedHere = errorText(e.Err), errors.Is(e.Err, holdfast.ErrClosed)
	}
	return h
}

func (h *happening) time() time.Time { return time.Unix(0, h.at) }

// errorText is an error as it is shown.
func errorText(err error) string { return clip(redact.Error(err).Error()) }

// clip bounds a text.
func clip(s string) string {
	if len(s) <= maxTextLength {
		return s
	}
	end := maxTextLength
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// record is what is remembered of one member. The recorder's lock guards it.
type record struct {
	id      uint64
	from    int64 // when what is known begins, Unix, in nanoseconds
	state   holdfast.State
	carrier string // transport, both before the first event

	events    deque.Deque[happening]
	forgotten uint64
	rtts      []float32 // milliseconds, a ring
	rttNext   int
	quiet     *list.Element // in recorder.quiet, nil without events
	last      *entry        // once EventClosed has come
}

func (r *record) add(h happening) {
	r.events.Push(h)
	if r.events.Len() > maxEvents {
		r.forget()
	}
}

// forget forgets the oldest event: what it led to is where the memory begins.
func (r *record) forget() {
	h := r.events.Pop()
	r.forgotten++
	r.from, r.state, r.carrier = h.at, h.state, h.carrierAfter(r.carrier)
}

// carrierAfter is the transport in use after an event, with the one before it.
func (h *happening) carrierAfter(before string) string {
	switch h.kind {
	case holdfast.EventConnected, holdfast.EventFellBack, holdfast.EventUpgraded:
		return h.transport
	case holdfast.EventDisconnected:
		return ""
	}
	if h.state == holdfast.StateConnected || h.state == holdfast.StateClosing {
		return before
	}
	return ""
}

func (r *record) addRTT(rtt time.Duration) {
	ms := float32(rtt.Seconds() * 1000)
	if len(r.rtts) < maxRTTs {
		r.rtts = append(r.rtts, ms)
		return
	}
	r.rtts[r.rttNext] = ms
	r.rttNext = (r.rttNext + 1) % maxRTTs
}

// roundTrips appends them to dst, the oldest first.
func (r *record) roundTrips(dst []float32) []float32 {
	return append(append(dst, r.rtts[r.rttNext:]...), r.rtts[:r.rttNext]...)
}

// history is a copy of a record.
type history struct {
	from      time.Time
	state     holdfast.State
	carrier   string
	events    []happening
	forgotten uint64
	rtts      []float32
}

func (r *record) history() history {
	return history{time.Unix(0, r.from), r.state, r.carrier, append([]happening(nil), r.events.All()...), r.forgotten, r.roundTrips(nil)}
}
