package pump

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	// grace is how long after a receiver's read the link may be read by nobody:
	// the next receiver is expected.
	grace = time.Millisecond
	// maxHelped is the largest message after which receivers are let read: of
	// larger ones, one is better received while the next one is read.
	maxHelped = 32 << 10
)

// interruptible is a link on which a receiver may read, whose wait ends with its
// ctx.
type interruptible interface {
	ahead
	// Interruptible says whether it can after all.
	Interruptible() bool
	// Interrupt ends the Read or Await under way and each that comes, until
	// Resume. Read then returns what it has of a message, and an error of which
	// Interrupted is true.
	Interrupt()
	Resume()
	Interrupted(err error) bool
}

// Reader reads a link for a receive queue: in Run's goroutine, or, where messages
// come one at a time to a receiver that waits, in that receiver's, which saves a
// hand-over between threads. One reads at a time.
type Reader struct {
	reader
	room    func(stop <-chan struct{}) bool
	deliver func(transport.MessageType) error
	stop    <-chan struct{}
	shared  interruptible // the link; nil where receivers cannot read
	kicked  chan struct{} // capacity 1: Run is to look

	mu      sync.Mutex
	lent    bool // receivers may read
	helping bool // one does
	blocked bool // and waits for the link
	broken  bool // its wait was interrupted
	used    bool // one has, since timer was set
	wanted  bool // Run is to read as soon as no receiver does
	armed   bool // timer is set
	err     error
	timer   *time.Timer
}

// NewPlainReader moves messages from a link to the receive queue. Its Run returns the
// link's error, or nil once stop is closed while it waits for room.
func NewPlainReader(l transport.Link, in *inbox.Queue, epoch uint64, stop <-chan struct{}) *Reader {
	r := newSharedReader(l, in, stop)
	r.room = in.Room
	r.deliver = func(typ transport.MessageType) error {
		r.mem = in.Keep(transport.Message{Type: typ, Data: r.mem.B, Epoch: epoch}, r.mem)
		return nil
	}
	return r
}

// NewReader moves batches from a link that streams, or polls, to the session. Run
// returns the link's error, or Receive's.
func (a *Attachment) NewReader(l transport.Link, stop <-chan struct{}) *Reader {
	r := newSharedReader(l, a.end.c.In, stop)
	r.deliver = func(transport.MessageType) error { return a.take(r.mem.B) }
	return r
}

func newSharedReader(l transport.Link, in *inbox.Queue, stop <-chan struct{}) *Reader {
	r := &Reader{reader: *newReader(l, in), stop: stop, kicked: make(chan struct{}, 1)}
	if shared, ok := l.(interruptible); ok && shared.Interruptible() {
		r.shared = shared
	}
	return r
}

// Run reads until the link ends.
func (r *Reader) Run() error {
	defer r.reader.free()
	defer r.in.Wake()
	for {
		if r.yields() {
			if err := r.yield(); err != nil {
				return err
			}
		}
		if r.room != nil && !r.room(r.stop) {
			return nil
		}
		if err := r.step(); err != nil {
			return err
		}
	}
}

// step reads one message or batch, and hands it on.
func (r *Reader) step() error {
	typ, err := r.next()
	if err != nil {
		return err
	}
	return r.deliver(typ)
}

// yields says that messages come one at a time, to receivers that wait for them.
func (r *Reader) yields() bool {
	if r.shared == nil || r.alone != 1 || r.last > maxHelped || isClosed(r.stop) {
		return false
	}
	if size, whole := r.shared.Peek(); size > 0 || whole {
		return false
	}
	return r.in.Uses(r) && r.in.Wake()
}

// yield lets receivers read, until none has for a while. The error is what one of
// them has met.
func (r *Reader) yield() error {
	r.reader.idle(maxIdle)
	r.mu.Lock()
	if r.in.Waiting() { // who came before the link was lent
		r.mu.Unlock()
		return nil
	}
	r.lent, r.used, r.wanted = true, false, false
	r.arm()
	r.mu.Unlock()
	stop := r.stop
	for {
		select {
		case <-r.kicked:
		case <-r.timer.C:
			r.mu.Lock()
			r.armed = false
			r.mu.Unlock()
		case <-stop: // whoever closes waits for the peer
			stop = nil
			r.Kick()
		}
		r.mu.Lock()
		switch {
		case r.err != nil:
			r.mu.Unlock()
			return r.err
		case r.helping: // who then says what follows
		case r.wanted || !r.used && !r.armed:
			r.lent = false
			r.alone = 0
			r.mu.Unlock()
			return nil
		case !r.armed:
			r.used = false
			r.arm()
		}
		r.mu.Unlock()
	}
}

// arm sets the timer. r.mu is held.
func (r *Reader) arm() {
	r.armed = true
	if r.timer == nil {
		r.timer = time.NewTimer(grace)
	} else {
		r.timer.Reset(grace)
	}
}

// Kick says that somebody waits for what Run would read.
func (r *Reader) Kick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kick()
}

// kick is Kick with r.mu held.
func (r *Reader) kick() {
	if !r.lent {
		return
	}
	r.wanted = true
	select {
	case r.kicked <- struct{}{}:
	default:
	}
}

// Help implements inbox.Helper.
func (r *Reader) Help(ctx context.Context, got <-chan struct{}) {
	r.mu.Lock()
	if !r.lent || r.helping || r.wanted || r.err != nil {
		r.kick()
		r.mu.Unlock()
		return
	}
	r.helping = true
	r.mu.Unlock()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, r.Interrupt)()
	}
	more := false
	for r.begin(ctx, got) {
		if r.room != nil && !r.in.RoomNow() {
			more = true
			break
		}
		err := r.step()
		if more = r.end(err); more {
			break
		}
		r.in.Wake()
	}
	r.in.Wake()
	r.leave(more)
}

// begin says that the receiver is about to wait for the link, which it has to.
func (r *Reader) begin(ctx context.Context, got <-chan struct{}) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(got) > 0 || ctx.Err() != nil || r.wanted {
		return false
	}
	if r.broken {
		r.broken = false
		r.shared.Resume()
	}
	r.blocked = true
	return true
}

// end says that the receiver does not wait for the link any more. true means that
// Run has to go on.
func (r *Reader) end(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocked = false
	if err != nil && !r.shared.Interrupted(err) {
		r.err = err
		return true
	}
	return false
}

// Interrupt implements inbox.Helper.
func (r *Reader) Interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blocked && !r.broken {
		r.broken = true
		r.shared.Interrupt()
	}
}

// leave gives the link back. more says that there is more to read at once.
func (r *Reader) leave(more bool) {
	size, whole := r.shared.Peek()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken {
		r.broken = false
		r.shared.Resume()
	}
	r.helping, r.used = false, true
	if more || r.wanted || r.partial || size > 0 || whole || r.in.Waiting() {
		r.kick()
	} else if !r.armed {
		r.arm()
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
