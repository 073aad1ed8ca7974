// Package pump is one end of a session as a whole: the state machine with its
// send and receive queues, served over whichever link is attached. Client and
// server use it alike. It serves plain links too, which have no session.
package pump

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// ackDelay is how long something received may go unacknowledged.
const ackDelay = 250 * time.Millisecond

// Config is what an End is made of.
type Config struct {
	Session session.Config
	// Out and In are the queues. In's bound is to be Session.Window: it is not
	// asked for room, as the window holds the peer back.
	Out *outbox.Queue
	In  *inbox.Queue
	// MaxMessage is the largest message, in bytes, that the peer takes.
	MaxMessage int
	// Epoch is Message.Epoch at first; a gap raises it.
	Epoch uint64
	// OnGap hears of count frames that will never come, before what follows
	// them and under a lock: it must not block, nor call the End.
	OnGap func(count, epoch uint64)
	// OnPong hears of each round trip, OnGoAway of the peer's wish for another
	// link. They must not block.
	OnPong   func(rtt time.Duration)
	OnGoAway func(reason uint64)
}

// End is one end of a session. It is safe for concurrent use.
type End struct {
	c          Config
	peerClosed chan struct{} // closed when the peer's CLOSE has come
	done       chan struct{} // closed when both directions are

	filling sync.Mutex     // one Next at a time; taken before mu
	group   []outbox.Entry // Next's, reused

	mu        sync.Mutex
	s         *session.Session
	at        *Attachment
	epoch     uint64
	flowing   bool               // the send queue is served
	moved     chan struct{}      // closed when numbered frames have gone out or been acknowledged; nil while nobody waits
	closing   *wire.ClosePayload // to be sent after all
	peerClose wire.ClosePayload
	ackTimer  *time.Timer
	parted    bool // both directions are closed
	parting   bool // and the peer is still to be told so
	heard     heard
	forgotten bool
}

// heard is what Receive found that is told without the lock.
type heard struct {
	acked  uint64
	pong   uint64
	goAway uint64
}

// New begins a session, without a link.
func New(c Config) *End {
	c.Out.UseAcks(c.MaxMessage)
	return &End{c: c, s: session.New(c.Session), epoch: c.Epoch, peerClosed: make(chan struct{}), done: make(chan struct{})}
}

// RecvNext is the number of the frame wanted next, and Window how many bytes
// are taken from there on.
func (e *End) RecvNext() (next, window uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.s.SetHeld(int64(e.c.In.Held()))
	next, window = e.s.RecvNext(), e.s.Window()
	e.watchRoom()
	if e.at != nil && e.s.Due() {
		e.c.Out.Wake()
	}
	return next, window
}

// Epoch is the Message.Epoch of what comes next.
func (e *End) Epoch() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.epoch
}

// Attach gives a link that was welcomed the next number; ATTACH is the first
// that Next returns on it. answered is the link's Info.Answered.
func (e *End) Attach(w wire.WelcomePayload, answered bool) (*Attachment, error) {
	e.mu.Lock()
	n, err := e.s.Attach(w)
	if err != nil {
		e.mu.Unlock()
		return nil, err
	}
	return e.attached(&Attachment{end: e, n: n, answered: answered}), nil
}

// Attached takes the client's ATTACH. session.ErrStale means that another link
// has a higher number.
func (e *End) Attached(p wire.AttachPayload, answered bool) (*Attachment, error) {
	e.mu.Lock()
	if err := e.s.Attached(p); err != nil {
		e.mu.Unlock()
		return nil, err
	}
	// A poll that is answered is at an end: there the ACK waits for a send to
	// answer, or its time.
	if !answered {
		e.s.AckNow()
	}
	return e.attached(&Attachment{end: e, n: p.Attachment, answered: answered, polled: answered}), nil
}

func (e *End) attached(a *Attachment) *Attachment {
	if e.at != nil {
		close(e.at.gone)
	}
	a.gone = make(chan struct{})
	e.at = a
	e.armAck()
	e.finish(false)
	e.mu.Unlock()
	e.c.Out.Relink()
	e.c.Out.Wake()
	return a
}

// Flow serves the send queue from now on.
func (e *End) Flow() {
	e.mu.Lock()
	e.flowing = true
	e.mu.Unlock()
	e.c.Out.Wake()
}

// SendNow sends a message ahead of the queue, once there is room for it. The
// error is outbox.ErrTooBig or ctx's, and means that it was not sent.
func (e *End) SendNow(ctx context.Context, m transport.Message) error {
	if len(m.Data) > e.c.MaxMessage {
		return outbox.ErrTooBig
	}
	for {
		e.mu.Lock()
		if e.s.Ready(len(m.Data)) && !e.s.Closing() {
			e.s.Send(0, m.Type, m.Data)
			e.mu.Unlock()
			e.c.Out.Wake()
			return nil
		}
		if e.moved == nil {
			e.moved = make(chan struct{})
		}
		moved := e.moved
		e.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tellMoved lets SendNow look again.
func (e *End) tellMoved() {
	if e.moved != nil {
		close(e.moved)
		e.moved = nil
	}
}

// Current is the attachment in use, nil while there is none.
func (e *End) Current() *Attachment {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.at
}

// Close ends this direction after all that has been accepted: the send queue
// takes no more (BeginClose).
func (e *End) Close(code uint16, reason string) {
	e.mu.Lock()
	if e.closing == nil {
		e.closing = &wire.ClosePayload{Code: code, Reason: reason}
	}
	e.mu.Unlock()
	e.c.Out.Wake()
}

// Answer ends this direction after what has been sent so far, because the peer
// has ended its own.
func (e *End) Answer() {
	e.mu.Lock()
	e.close(e.peerClose.Code, "")
	e.mu.Unlock()
	e.c.Out.Wake()
}

func (e *End) close(code uint16, reason string) {
	if e.closing == nil {
		e.closing = &wire.ClosePayload{}
	}
	if !e.s.Closing() {
		e.s.Close(code, reason)
	}
}

// PeerClosed is closed when the peer's CLOSE has come, after all before it.
func (e *End) PeerClosed() <-chan struct{} { return e.peerClosed }

// PeerClose is the peer's CLOSE, once PeerClosed is closed.
func (e *End) PeerClose() (code uint16, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peerClose.Code, e.peerClose.Reason
}

// Done is closed when both directions have been closed, the peer has
// acknowledged it, and Write has told the peer the same: the link may go. Where
// the peer polls, what it is told rides in the next answer, and Done does not wait.
func (e *End) Done() <-chan struct{} { return e.done }

// Settle takes what a tombstone tells: the frame that the peer wanted next.
func (e *End) Settle(recvNext uint64) {
	e.mu.Lock()
	e.s.Settle(recvNext, (*sink)(e))
	e.unlockAndTell()
}

// Dropped follows each drop in the send queue: it frees what had been sent.
func (e *End) Dropped() {
	e.mu.Lock()
	e.s.Drop(e.c.Out.Dropped())
	e.mu.Unlock()
	e.c.Out.Wake() // a gap needs no window
}

// Rejected is a REJECT: the peer does not want the session, or the link.
type Rejected struct{ wire.RejectPayload }

// Error names the status.
func (r *Rejected) Error() string {
	s := fmt.Sprintf("the session was refused with status %d", r.Status)
	if r.Code != 0 {
		s += fmt.Sprintf(": it was closed with %d", r.Code)
		if r.Reason != "" {
			s += fmt.Sprintf(" %q", r.Reason)
		}
	}
	return s
}

// sink is an End as its machine sees it, with the lock held.
type sink End

func (k *sink) Message(typ transport.MessageType, data []byte) {
	k.c.In.Add(transport.Message{Type: typ, Data: data, Epoch: k.epoch})
}

func (k *sink) Gap(from, to uint64) {
	k.epoch++
	if k.c.OnGap != nil {
		k.c.OnGap(to-from+1, k.epoch)
	}
}

func (k *sink) Acked(id uint64)      { k.heard.acked = id }
func (k *sink) Pong(id uint64)       { k.heard.pong = id }
func (k *sink) GoAway(reason uint64) { k.heard.goAway = reason }

func (k *sink) Closed(code uint16, reason string) {
	k.peerClose = wire.ClosePayload{Code: code, Reason: reason}
	close(k.peerClosed)
}

// finish closes done if both directions are closed, and the peer either knows it
// (told) or is not to be told by Write.
func (e *End) finish(told bool) {
	if !e.s.Done() || !told && e.at != nil && !e.at.polled {
		return
	}
	select {
	case <-e.done:
	default:
		close(e.done)
	}
}

// unlockAndTell releases the lock, and tells what was heard under it.
func (e *End) unlockAndTell() {
	h := e.heard
	e.heard = heard{}
	e.tellMoved()
	if e.s.Done() && !e.parted {
		e.parted = true
		if e.finish(false); e.at != nil && !e.at.polled {
			e.parting = true
			e.s.AckNow()
		}
	}
	wake := e.wanted()
	e.mu.Unlock()
	if wake {
		e.c.Out.Wake()
	}
	if h.acked > 0 {
		e.c.Out.Acknowledge(h.acked)
	}
	if h.pong > 0 {
		if rtt, ok := e.c.Out.Pong(h.pong); ok && e.c.OnPong != nil {
			e.c.OnPong(rtt)
		}
	}
	if h.goAway > 0 && e.c.OnGoAway != nil {
		e.c.OnGoAway(h.goAway)
	}
}
