package pump

import (
	"errors"
	"sync"

	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// maxWrite is how many bytes a write to a link that streams has at most; one
// that is answered carries a whole body.
const maxWrite = 128 << 10

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
		ping := true
		if len(group) > 0 {
			n, err := l.Write(group)
			ping = out.Written(n)
			if err != nil {
				return err
			}
		}
		if ping {
			if err := p.ping(l, out); err != nil {
				return err
			}
		}
	}
}

// soonWriter is a link that can write without waiting for the network.
type soonWriter interface {
	// WritesSoon says whether it can after all.
	WritesSoon() bool
	// WriteSoon is Write that waits for nothing. behind says that the network has not
	// taken it all: the next Write, which may be of nothing, goes on.
	WriteSoon(msgs []transport.Message) (n int, behind bool, err error)
}

// writesSoon returns nil for a link that cannot.
func writesSoon(l transport.Link) soonWriter {
	if s, ok := l.(soonWriter); ok && s.WritesSoon() {
		return s
	}
	return nil
}

// PlainWriter is WritePlain on demand, for Queue.Use. The link's error goes to fail.
func PlainWriter(l transport.Link, out *outbox.Queue, p Pinger, fail func(error)) *outbox.Writer {
	w := &plainWriter{link: l, soon: writesSoon(l), out: out, pinger: p}
	w.Writer = outbox.NewWriter(w.write, w.soon != nil, fail)
	return w.Writer
}

type plainWriter struct {
	*outbox.Writer
	link   transport.Link
	soon   soonWriter
	out    *outbox.Queue
	pinger Pinger
	behind bool // a write has not come to its end
}

func (w *plainWriter) write(soon bool) (more bool, err error) {
	if err := w.catchUp(); err != nil {
		return false, err
	}
	for !w.Stopping() {
		group, due := w.out.TakeNow()
		if !due {
			return false, nil
		}
		ping := true
		if len(group) > 0 {
			var n int
			if soon {
				n, w.behind, err = w.soon.WriteSoon(group)
			} else {
				n, err = w.link.Write(group)
			}
			if ping = w.out.WrittenBy(w.Writer, n); err != nil {
				return false, err
			}
		}
		if soon { // more would keep the caller for the sake of others
			return ping || w.behind || w.out.Pending(), nil
		}
		if ping {
			if err := w.pinger.ping(w.link, w.out); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// catchUp ends a write that did not wait, before anything else, and though it be the
// last.
func (w *plainWriter) catchUp() error {
	if !w.behind {
		return nil
	}
	w.behind = false
	_, err := w.link.Write(nil)
	return err
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

// batches are buffers for what is written; none is kept while it is quiet.
var batches = sync.Pool{New: func() any { return new(batch) }}

type batch struct {
	frames []byte
	msg    [1]transport.Message
}

func (b *batch) write(l transport.Link) error {
	b.msg[0] = transport.Message{Type: transport.Binary, Data: b.frames}
	_, err := l.Write(b.msg[:])
	b.msg[0] = transport.Message{}
	return err
}

func (b *batch) free() {
	if cap(b.frames) <= 2*maxWrite {
		batches.Put(b)
	}
}

// Write moves batches from the session to a link until stop is closed or the
// attachment is gone, which is nil, or the link fails.
func (a *Attachment) Write(l transport.Link, stop <-chan struct{}) error {
	defer a.end.c.Out.Wake() // the token that it took last may have been the next one's
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	for {
		if err := a.write(l, stopped); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-a.gone:
			return nil
		default:
		}
		select {
		case <-a.Ready():
		case <-stop:
		case <-a.gone:
		}
	}
}

// Writer is Write on demand, for Queue.Use. The link's error goes to fail.
func (a *Attachment) Writer(l transport.Link, fail func(error)) *outbox.Writer {
	w := &sessionWriter{at: a, link: l, soon: writesSoon(l)}
	w.Writer = outbox.NewWriter(w.write, w.soon != nil, fail)
	return w.Writer
}

type sessionWriter struct {
	*outbox.Writer
	at     *Attachment
	link   transport.Link
	soon   soonWriter
	batch  *batch // could not be written without waiting; nil for none
	behind bool   // a write has not come to its end
}

func (w *sessionWriter) write(soon bool) (more bool, err error) {
	if soon {
		return w.writeSoon()
	}
	if b := w.batch; b != nil {
		w.batch, w.behind = nil, false
		defer b.free()
		if err := b.write(w.link); err != nil {
			return false, err
		}
	}
	if w.behind {
		w.behind = false
		if _, err := w.link.Write(nil); err != nil {
			return false, err
		}
	}
	return false, w.at.write(w.link, w.Stopping)
}

// writeSoon writes one batch.
func (w *sessionWriter) writeSoon() (more bool, err error) {
	b := batches.Get().(*batch)
	if b.frames = w.at.Next(b.frames[:0], maxWrite); len(b.frames) == 0 {
		b.free()
		return false, nil
	}
	b.msg[0] = transport.Message{Type: transport.Binary, Data: b.frames}
	n, behind, err := w.soon.WriteSoon(b.msg[:])
	b.msg[0] = transport.Message{}
	if n == 0 && err == nil {
		w.batch, w.behind = b, behind
		return true, nil
	}
	b.free()
	w.behind = behind
	return behind || w.at.wanted(), err
}

// write writes what there is to send, unless it is stopped or the attachment is
// gone.
func (a *Attachment) write(l transport.Link, stopped func() bool) error {
	room := maxWrite
	if a.answered {
		room = wire.MaxBatch - 2*wire.MaxHeader - 64
	}
	b := batches.Get().(*batch)
	defer b.free()
	for !stopped() {
		select {
		case <-a.gone:
			return nil
		default:
		}
		if b.frames = a.Next(b.frames[:0], room); len(b.frames) == 0 {
			return nil
		}
		if err := b.write(l); err != nil {
			return err
		}
		if a.answered {
			a.Rewind()
		}
	}
	return nil
}
