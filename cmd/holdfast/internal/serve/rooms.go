package serve

import (
	"context"
	"regexp"
	"sync"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/server"
)

var roomName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// echo sends back what it gets.
func echo(ctx context.Context, s *server.Session) error {
	for m, err := range s.Messages(ctx) {
		if err != nil {
			return err
		}
		if err := s.Send(ctx, m.Type, m.Data); err != nil {
			return err
		}
	}
	return nil
}

// rooms are those with somebody in them.
type rooms struct {
	mu      sync.Mutex
	members map[string]map[*server.Session]struct{}
}

func newRooms() *rooms { return &rooms{members: map[string]map[*server.Session]struct{}{}} }

// serve sends what a session says to all others of its room.
func (r *rooms) serve(ctx context.Context, s *server.Session) error {
	name := s.Request().PathValue("name")
	r.enter(name, s)
	defer r.leave(name, s)
	for m, err := range s.Messages(ctx) {
		if err != nil {
			return err
		}
		for _, other := range r.others(name, s) {
			_ = other.Send(ctx, m.Type, m.Data) // it waits for nobody; who has gone has gone
		}
	}
	return nil
}

func (r *rooms) enter(name string, s *server.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members[name] == nil {
		r.members[name] = map[*server.Session]struct{}{}
	}
	r.members[name][s] = struct{}{}
}

func (r *rooms) leave(name string, s *server.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members[name], s)
	if len(r.members[name]) == 0 {
		delete(r.members, name)
	}
}

func (r *rooms) others(name string, s *server.Session) []*server.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*server.Session, 0, len(r.members[name]))
	for other := range r.members[name] {
		if other != s {
			all = append(all, other)
		}
	}
	return all
}

// roomBuffer lets a member who does not keep up lose the oldest messages.
var roomBuffer = holdfast.SendBuffer{WhenFull: holdfast.WhenFullDropOldest}
