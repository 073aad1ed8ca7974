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

// PlainWriter is WritePlain on demand, for Queue.Use. The link's error goes to fail.
func PlainWriter(l transport.Link, out *outbox.Queue, p Pinger, fail func(error)) *outbox.Writer {
	var w *outbox.Writer
	w = outbox.NewWriter(func() error {
		for !w.Stopping() {
			group, due := out.TakeNow()
			if !due {
				return nil
			}
			ping := true
			if len(group) > 0 {
				n, err := l.Write(group)
				ping = out.WrittenBy(w, n)
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
		return nil
	}, fail)
	return w
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
	var w *outbox.Writer
	w = outbox.NewWriter(func() error { return a.write(l, w.Stopping) }, fail)
	return w
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
