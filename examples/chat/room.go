package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

// room is the chat room: what one says, all others get.
type room struct {
	mu      sync.Mutex
	members []*member // in the order in which they came
}

// member is somebody in the room, for as long as the session lasts. A session
// outlives its links: who is cut off and comes back was never away.
type member struct {
	*server.Session
	missed int // lines, while the send buffer was full; the room's lock guards it
}

// newServer returns the handler of the room.
func newServer() *server.Server {
	return server.New(new(room).serve, &server.Options{
		// A real server would look at a token or a cookie. What it returns is
		// Session.Principal, and nobody else may go on with the session.
		Authenticate: func(r *http.Request) (string, error) {
			if name := r.URL.Query().Get("name"); name != "" {
				return name, nil
			}
			return "", errors.New("no name") // the client gets 401
		},
		// Who does not come back for so long has left.
		ResumeTTL: 30 * time.Second,
		// One slow reader must not hold up the others, so that Send must not
		// wait: see say.
		SendBuffer: holdfast.SendBuffer{MaxMessages: 256, WhenFull: holdfast.WhenFullFail},
	})
}

// serve is called for each session.
func (r *room) serve(ctx context.Context, s *server.Session) error {
	m := &member{Session: s}
	r.enter(m)
	defer r.leave(m)
	for msg, err := range s.Messages(ctx) {
		if err != nil {
			return err // the client has closed, or has not come back in time
		}
		r.mu.Lock()
		r.say(m, fmt.Sprintf("%s: %s", s.Principal(), msg.Data))
		r.mu.Unlock()
	}
	return nil // Shutdown has closed the session
}

func (r *room) enter(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.say(m, fmt.Sprintf("* %s has come", m.Principal()))
	r.members = append(r.members, m)
	var names []string
	for _, m := range r.members {
		names = append(names, m.Principal())
	}
	m.tell("* here: " + strings.Join(names, ", "))
}

func (r *room) leave(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = slices.DeleteFunc(r.members, func(other *member) bool { return other == m })
	r.say(m, fmt.Sprintf("* %s has left", m.Principal()))
}

// say tells all but one. It runs with the lock held, so that all get the lines in
// the same order; that is fine because no Send here ever waits.
func (r *room) say(from *member, line string) {
	for _, m := range r.members {
		if m != from {
			m.tell(line)
		}
	}
}

// tell sends a line. When a member's send buffer is full, lines are left out for
// that member alone, whom the next one that fits tells how many.
func (m *member) tell(line string) {
	if m.missed > 0 {
		line = fmt.Sprintf("* you have missed %d lines\n%s", m.missed, line)
	}
	// Not the speaker's context: that one may be about to leave.
	if m.Send(context.Background(), holdfast.Text, []byte(line)) != nil {
		m.missed++
	} else {
		m.missed = 0
	}
}
