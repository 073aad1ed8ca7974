package pump

import (
	"time"

	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// Attachment is one link's place in the session. Once another link has a higher
// number nothing but acknowledgements count that come by it.
type Attachment struct {
	end      *End
	n        uint64
	answered bool
	polled   bool          // the server's, of a link that is answered: the client asks for everything
	gone     chan struct{} // closed when it is the current one no more
}

// Number is the attachment's number.
func (a *Attachment) Number() uint64 { return a.n }

// Gone is closed once the attachment has been replaced or detached.
func (a *Attachment) Gone() <-chan struct{} { return a.gone }

// Ready has a token when Next may have something: call Next until it has
// nothing, then wait.
func (a *Attachment) Ready() <-chan struct{} { return a.end.c.Out.Ready() }

// Receive takes the frames of one batch. The error is *Rejected, session.ErrAhead,
// session.ErrFull, a *session.Violation, wire's, or after Forget session.ErrStale;
// what came before it counts.
func (a *Attachment) Receive(frames []byte) error {
	defer a.end.c.In.Wake()
	return a.take(frames)
}

// take is Receive without waking who waits for a message.
func (a *Attachment) take(frames []byte) error {
	e := a.end
	e.mu.Lock()
	if e.forgotten {
		e.mu.Unlock()
		return session.ErrStale
	}
	err := a.receive(frames)
	e.armAck()
	e.unlockAndTell()
	return err
}

func (a *Attachment) receive(frames []byte) error {
	for len(frames) > 0 {
		f, n, err := wire.Parse(frames)
		if err != nil {
			return err
		}
		frames = frames[n:]
		if f.Type == wire.Reject {
			p, err := wire.ParseReject(f.Payload)
			if err != nil {
				return err
			}
			return &Rejected{p}
		}
		if err := a.end.s.Receive(a.n, f, (*sink)(a.end)); err != nil {
			return err
		}
	}
	return nil
}

// wanted says that the writer has something to do. What merely acknowledges
// rides in the next request of a link that is answered, but for the last one.
func (e *End) wanted() bool {
	if e.at == nil {
		return false
	}
	return e.s.Sendable() || (!e.at.answered || e.parting) && e.s.Due() || e.flowing && e.s.Ready(0) && e.c.Out.Pending()
}

// wanted says that Next would have something.
func (a *Attachment) wanted() bool {
	a.end.mu.Lock()
	defer a.end.mu.Unlock()
	return a.end.at == a && a.end.wanted()
}

// armAck sees to it that what was received is acknowledged within ackDelay, and
// a window that reopens is told.
func (e *End) armAck() {
	e.watchRoom()
	if e.at == nil || e.ackTimer != nil || !e.s.AckPending() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(ackDelay, func() {
		e.mu.Lock()
		due := e.ackTimer == timer && e.s.AckPending()
		if e.ackTimer == timer {
			e.ackTimer = nil
		}
		if due {
			e.s.AckNow()
		}
		e.mu.Unlock()
		if due {
			e.c.Out.Wake()
		}
	})
	e.ackTimer = timer
}

// watchRoom waits for the receiver to make room that the peer is to know of. true
// says that it has been made, and that an ACK has become due of it. It follows
// whatever changes the room that the peer knows of. A session without a link
// leaves the receive queue alone, which may be another one's by then.
func (e *End) watchRoom() (due bool) {
	if e.at == nil || !e.c.In.NotifyAt(int(e.s.NotifyAt()), e.roomMade) {
		return false
	}
	e.s.SetHeld(int64(e.c.In.Held()))
	return e.s.Due()
}

func (e *End) roomMade() {
	e.mu.Lock()
	e.watchRoom()
	due := e.at != nil && e.s.Due()
	e.mu.Unlock()
	if due {
		e.c.Out.Wake()
	}
}

// Next appends the frames to send now, about room bytes at most, to dst; none
// once the attachment is gone. room is at least 80 KiB.
func (a *Attachment) Next(dst []byte, room int) []byte {
	e := a.end
	e.filling.Lock()
	defer e.filling.Unlock()
	for {
		e.mu.Lock()
		if e.at != a {
			e.mu.Unlock()
			e.c.Out.Wake() // the token may have been the next one's
			return dst
		}
		var n int
		dst, n = e.fill(dst, room)
		e.mu.Unlock()
		e.c.Out.Written(n) // before any of it leaves, so that no acknowledgement comes first
		if n == 0 {
			return dst
		}
	}
}

// fill appends what is due, and messages from the send queue as long as they
// fit. It returns how many it took; another call goes on.
func (e *End) fill(dst []byte, room int) ([]byte, int) {
	s, out := e.s, e.c.Out
	s.SetHeld(int64(e.c.In.Held()))
	if e.parting {
		e.parting = false
		s.AckNow()
	}
	if !e.rides() {
		dst = s.Next(dst, room-len(dst))
	}
	n := 0
	e.tellMoved()
	if e.flowing && s.Ready(0) {
		e.group = out.TryTake(e.group[:0], min(room-len(dst), s.Room()))
		for _, m := range e.group {
			if len(dst) >= room || !s.Ready(len(m.Data)) {
				break
			}
			if m.Skip > 0 {
				s.Skip(m.Skip)
			}
			s.Send(m.Seq, m.Type, m.Data)
			dst = s.Next(dst, room-len(dst))
			n++
		}
		clear(e.group)
	}
	if e.flowing {
		if skip := out.TakeSkip(); skip > 0 {
			s.Skip(skip)
		}
	}
	if n > 0 {
		return dst, n
	}
	if e.closing != nil && !s.Closing() && !(e.flowing && out.Pending()) {
		s.Close(e.closing.Code, e.closing.Reason)
	}
	if id, due := out.NextPing(false); due {
		s.Ping(id)
	}
	if !e.rides() {
		dst = s.Next(dst, max(room-len(dst), 0)+wire.MaxHeader+8)
	}
	for e.watchRoom() {
		dst = s.Next(dst, max(room-len(dst), 0))
	}
	if len(dst) == 0 { // what was said last has left
		e.finish(true)
	}
	return dst, 0
}

// rides says that there is nothing to send but an ATTACH, which the poll has that
// is on its way: the first message is not to wait for the answer to a send.
func (e *End) rides() bool {
	return e.at.answered && !e.at.polled && e.s.Attaching()
}

// Rewind follows a request that has been answered, and one that asks: nothing
// is on its way, so what the peer does not have is sent again.
func (a *Attachment) Rewind() {
	e := a.end
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at == a {
		e.s.Rewind()
	}
}

// Poll is what a request carries beside messages: ATTACH until the peer has
// answered on this attachment, a pending PONG, and ACK. The server's answer to
// a send is that too.
func (a *Attachment) Poll() []byte {
	e := a.end
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at != a {
		return nil
	}
	e.s.SetHeld(int64(e.c.In.Held()))
	frames := e.s.Poll()
	if e.watchRoom() {
		e.c.Out.Wake()
	}
	return frames
}

// GoAway asks the client for another link.
func (a *Attachment) GoAway(reason uint64) {
	e := a.end
	e.mu.Lock()
	if e.at == a {
		e.s.GoAway(reason)
	}
	e.mu.Unlock()
	e.c.Out.Wake()
}

// Detach leaves the session without a link, if this is the present one.
func (a *Attachment) Detach() {
	e := a.end
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at == a {
		e.detach()
	}
}

// Forget leaves a session whose memory is lost at the peer: it has no link any
// more, and what one still brings counts for nothing. The queues are free for
// another session.
func (e *End) Forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgotten = true
	if e.at != nil {
		e.detach()
	}
}

func (e *End) detach() {
	close(e.at.gone)
	e.at = nil
	e.s.Detach()
	e.c.In.NotifyAt(-1, nil)
	if e.ackTimer != nil {
		e.ackTimer.Stop()
		e.ackTimer = nil
	}
	e.finish(false)
}

// Read moves batches from a link to the session until the link fails; the error
// says why, and is never nil.
func (a *Attachment) Read(l transport.Link) error { return a.NewReader(l, nil).Run() }
