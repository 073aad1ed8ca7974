package pump

import (
	"errors"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/transport"
)

// ReadPlain moves messages from a link to the receive queue. It returns the
// link's error, or nil once stop is closed while it waits for room.
func ReadPlain(l transport.Link, in *inbox.Queue, epoch uint64, stop <-chan struct{}) error {
	for in.Room(stop) {
		typ, data, err := l.Read(nil)
		if err != nil {
			return err
		}
		in.Put(transport.Message{Type: typ, Data: data, Epoch: epoch})
	}
	return nil
}

// Pinger says how a plain link is pinged.
type Pinger struct {
	// Instead gives an application message to send in place of a ping that
	// asks for life; nil sends the ping.
	Instead func() (transport.Message, bool)
	// Unsupported hears that the link has no pings.
	Unsupported func()
}

// WritePlain moves messages from the send queue to a link, and pings when
// asked. It returns nil once stop is closed, or the link's error.
func WritePlain(l transport.Link, out *outbox.Queue, p Pinger, stop <-chan struct{}) error {
	for {
		group, ok := out.Take(stop)
		if !ok {
			return nil
		}
		if len(group) > 0 {
			n, err := l.Write(group)
			out.Written(n)
			if err != nil {
				return err
			}
		}
		if err := p.ping(l, out); err != nil {
			return err
		}
	}
}

func (p Pinger) ping(l transport.Link, out *outbox.Queue) error {
	var instead []transport.Message
	if p.Instead != nil && out.PingRequested() {
		if m, ok := p.Instead(); ok {
			instead = append(instead, m)
		}
	}
	id, due := out.NextPing(instead != nil)
	if instead != nil {
		if _, err := l.Write(instead); err != nil {
			return err
		}
	}
	if !due {
		return nil
	}
	err := l.Ping(id)
	if errors.Is(err, errors.ErrUnsupported) {
		p.Unsupported()
		out.FailWaiters(err)
		return nil
	}
	return err
}
