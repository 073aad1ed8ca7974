package serve

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
	"github.com/holdfast-ws/holdfast/server"
)

// watcher writes the lives of this command's sessions into the log.
type watcher struct {
	log *journal
	own func(*server.Session) bool
}

// Event tells of a session.
func (w watcher) Event(m *registry.Member, event any) {
	s, ok := m.Value.(*server.Session)
	e, known := event.(holdfast.Event)
	if !ok || !known || !w.own(s) {
		return
	}
	if line := told(m.ID, s, e); line != "" {
		w.log.say("%s", line)
	}
}

// RTT is not told.
func (watcher) RTT(*registry.Member, time.Duration) {}

// Removed is told by the last event.
func (watcher) Removed(*registry.Member) {}

// told is the line about an event; "" for none.
func told(id uint64, s *server.Session, e holdfast.Event) string {
	st := s.Stats()
	name := fmt.Sprintf("session %d", id)
	switch e.Kind {
	case holdfast.EventConnected:
		if e.Resumed {
			return fmt.Sprintf("%s resumed over %s (link %d)", name, e.Transport, st.Connects)
		}
		kind := "session"
		if !markOf(s).session {
			kind = "plain WebSocket"
		}
		r := s.Request()
		line := fmt.Sprintf("%s opened over %s by %s at %s (%s)", name, e.Transport, r.RemoteAddr, r.URL.Path, kind)
		if o := r.Header.Get("Origin"); o != "" {
			line += ", origin " + o
		}
		if p := s.Subprotocol(); p != "" {
			line += ", subprotocol " + p
		}
		return line
	case holdfast.EventFellBack, holdfast.EventUpgraded:
		return fmt.Sprintf("%s went over to %s (link %d)", name, e.Transport, st.Connects)
	case holdfast.EventDisconnected:
		return fmt.Sprintf("%s lost its link: %s", name, strings.TrimPrefix(inner(e.Err), "link lost: "))
	case holdfast.EventGap:
		return fmt.Sprintf("%s: the client has dropped messages", name)
	case holdfast.EventDropped:
		return fmt.Sprintf("%s: %d messages to it were dropped: %s", name, e.Count, inner(e.Err))
	case holdfast.EventClosed:
		return fmt.Sprintf("%s closed: %s; messages received %d (%d bytes), sent %d (%d bytes); links %d",
			name, inner(e.Err), st.MessagesReceived, st.BytesReceived, st.MessagesSent, st.BytesSent, st.Connects)
	}
	return ""
}

// inner is an error's text without the name of the library.
func inner(err error) string { return strings.TrimPrefix(fmt.Sprint(err), "holdfast: ") }
