package debugpage

import (
	"encoding/json"
	"net/http"
	"time"
)

// Report is what the page shows, as JSON. Its schema has the number 1: fields may
// come, but none goes or changes its meaning under that number. Times are UTC (RFC
// 3339), and left out where there is none; "_ms" is milliseconds.
type Report struct {
	// Schema is 1.
	Schema int `json:"schema"`
	// Time is when the Report was made, RecordingSince when the recording of
	// events and round trips began.
	Time           time.Time `json:"time"`
	RecordingSince time.Time `json:"recording_since"`
	// Total counts all that live, States, Kinds and Transports them by those ("" is
	// between links). Matched counts those that the filter lets through.
	Total      int            `json:"total"`
	States     map[string]int `json:"states,omitempty"`
	Kinds      map[string]int `json:"kinds,omitempty"`
	Transports map[string]int `json:"transports,omitempty"`
	Matched    int            `json:"matched"`
	// Page is the one of Pages, from 1, that Members is.
	Page  int `json:"page"`
	Pages int `json:"pages"`
	// Members are those that live, without Events, Ended the last ones that have
	// ended, the youngest end first. With an id in the query Members is that one
	// alone, living or ended, with its Events.
	Members []Member `json:"members"`
	Ended   []Member `json:"ended,omitempty"`
}

// Member is a Conn or a Session.
type Member struct {
	// ID is unique in the process, Kind "conn" or "session".
	ID   uint64 `json:"id"`
	Kind string `json:"kind"`
	// State to LastError are holdfast.Stats; of one that has ended its last ones.
	State          string    `json:"state"`
	Transport      string    `json:"transport"`
	Endpoint       string    `json:"endpoint"`
	Epoch          uint64    `json:"epoch"`
	ConnectedSince time.Time `json:"connected_since,omitzero"`
	RTT            float64   `json:"rtt_ms"` // 0: none was measured
	// RTTs are the last 60, the oldest first.
	RTTs                []float32 `json:"rtts_ms,omitempty"`
	Connects            uint64    `json:"connects"`
	Attempts            uint64    `json:"attempts"`
	ConsecutiveFailures uint64    `json:"consecutive_failures"`
	MessagesSent        uint64    `json:"messages_sent"`
	BytesSent           uint64    `json:"bytes_sent"`
	MessagesReceived    uint64    `json:"messages_received"`
	BytesReceived       uint64    `json:"bytes_received"`
	Dropped             uint64    `json:"dropped"`
	Unknown             uint64    `json:"unknown"`
	Queued              int       `json:"queued"`
	QueuedBytes         int64     `json:"queued_bytes"`
	QueueLimit          int       `json:"queue_limit"`
	QueueBytesLimit     int64     `json:"queue_bytes_limit"`
	Unacknowledged      int       `json:"unacknowledged"`
	ReceiveQueued       int       `json:"receive_queued"`
	ReceiveQueuedBytes  int64     `json:"receive_queued_bytes"`
	LastError           string    `json:"last_error,omitempty"`
	// Since is when it was made, EndedAt when it ended, and Why of what.
	Since   time.Time `json:"since"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	Why     string    `json:"why,omitempty"`
	// Session is a session's id, RemoteAddr the address that opened it. Principal
	// is there with Options.ShowPrincipals alone.
	Session     string `json:"session,omitempty"`
	RemoteAddr  string `json:"remote_addr,omitempty"`
	Principal   string `json:"principal,omitempty"`
	Subprotocol string `json:"subprotocol,omitempty"`
	// Events are the last 200, the oldest first; EventsForgotten counts those
	// before them.
	Events          []Event `json:"events,omitempty"`
	EventsForgotten uint64  `json:"events_forgotten,omitempty"`
}

// Event is a holdfast.Event.
type Event struct {
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind"`
	State     string    `json:"state"`
	Transport string    `json:"transport,omitempty"`
	Endpoint  string    `json:"endpoint,omitempty"`
	Attempt   int       `json:"attempt,omitempty"`
	Delay     float64   `json:"delay_ms,omitempty"`
	Epoch     uint64    `json:"epoch,omitempty"`
	Resumed   bool      `json:"resumed,omitempty"`
	Count     int       `json:"count,omitempty"`
	Error     string    `json:"error,omitempty"`
}

// report is what a list shows.
func (h *handler) report(v *view, now time.Time) *Report {
	g := h.gather(v)
	r := h.newReport(now)
	r.Total, r.States, r.Kinds, r.Transports = g.all.total, g.all.state, g.all.kind, g.all.transport
	r.Matched, r.Page, r.Pages = g.matched, g.page, g.pages
	for i := range g.list {
		r.Members = append(r.Members, g.list[i].report())
	}
	for i := range g.ended {
		r.Ended = append(r.Ended, g.ended[i].report())
	}
	return r
}

// memberReport is what the page of one member shows.
func (h *handler) memberReport(d *detailed, now time.Time) *Report {
	r := h.newReport(now)
	r.Total, r.Matched = 1, 1
	m := d.entry.report()
	m.EventsForgotten = d.forgotten
	for i := range d.events {
		e := &d.events[i]
		m.Events = append(m.Events, Event{Time: e.time().UTC(), Kind: e.kind.String(), State: e.state.String(), Transport: e.transport,
			Endpoint: e.endpoint, Attempt: e.attempt, Delay: milliseconds(e.delay), Epoch: e.epoch, Resumed: e.resumed,
			Count: e.count, Error: e.err})
	}
	r.Members = append(r.Members, m)
	return r
}

func (h *handler) newReport(now time.Time) *Report {
	return &Report{Schema: 1, Time: now.UTC(), RecordingSince: h.rec.since.UTC(), Page: 1, Pages: 1, Members: []Member{}}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (e *entry) report() Member {
	s := &e.stats
	m := Member{
		ID: e.id, Kind: e.kind, State: s.State.String(), Transport: s.Transport, Endpoint: clip(s.Endpoint), Epoch: s.Epoch,
		ConnectedSince: s.ConnectedSince, RTT: milliseconds(s.RTT),
		Connects: s.Connects, Attempts: s.Attempts, ConsecutiveFailures: s.ConsecutiveFailures,
		MessagesSent: s.MessagesSent, BytesSent: s.BytesSent, MessagesReceived: s.MessagesReceived, BytesReceived: s.BytesReceived,
		Dropped: s.Dropped, Unknown: s.Unknown, Queued: s.Queued, QueuedBytes: s.QueuedBytes, QueueLimit: s.QueueLimit,
		QueueBytesLimit: s.QueueBytesLimit, Unacknowledged: s.Unacknowledged, ReceiveQueued: s.ReceiveQueued,
		ReceiveQueuedBytes: s.ReceiveQueuedBytes, LastError: e.lastError(), Since: e.since.UTC(), Why: e.why,
		RTTs: e.rtts, Session: e.session, RemoteAddr: e.remote, Principal: e.principal, Subprotocol: e.subprotocol,
	}
	if !m.ConnectedSince.IsZero() {
		m.ConnectedSince = m.ConnectedSince.UTC()
	}
	if !e.ended.IsZero() {
		m.EndedAt = e.ended.UTC()
	}
	return m
}

func answerJSON(w http.ResponseWriter, r *http.Request, status int, report *Report) {
	body, err := json.Marshal(report)
	if err != nil { // no value of a Report has none
		answer(w, r, http.StatusInternalServerError, textType, []byte(err.Error()+"\n"))
		return
	}
	answer(w, r, status, jsonType, append(body, '\n'))
}
