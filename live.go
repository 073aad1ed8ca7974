package holdfast

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/transport"
)

// live is a link with the two goroutines that serve it. abort joins them.
type live struct {
	transport.Link
	transport string
	endpoint  *endpoint
	epoch     uint64
	since     time.Time // when it was connected, OnConnect done
	despite   bool      // it was made although the network said offline

	pingless atomic.Bool   // the transport has no pings
	failed   chan error    // the first failure
	heard    chan struct{} // closed once readErr is set
	readErr  error
	stop     chan struct{} // ends the writer, and a reader that waits for room
	once     sync.Once
	wg       sync.WaitGroup
}

func newLive(link transport.Link, name string, ep *endpoint, epoch uint64) *live {
	return &live{Link: link, transport: name, endpoint: ep, epoch: epoch, since: time.Now(),
		failed: make(chan error, 2), stop: make(chan struct{}), heard: make(chan struct{})}
}

// read moves messages from the link to the inbox.
func (l *live) read(in *inbox.Queue) {
	l.wg.Go(func() {
		for in.Room(l.stop) {
			typ, data, err := l.Read(nil)
			if err != nil {
				l.readErr = err
				l.failed <- err
				close(l.heard)
				in.EndHeld(closeError(err))
				return
			}
			in.Put(Message{Type: typ, Data: data, Epoch: l.epoch})
		}
	})
}

// write moves messages from the outbox to the link, and pings when asked.
func (l *live) write(out *outbox.Queue, o *Options) {
	l.wg.Go(func() {
		for {
			group, ok := out.Take(l.stop)
			if !ok {
				return
			}
			if err := l.writeGroup(group, out, o); err != nil {
				l.failed <- l.cause(err)
				return
			}
		}
	})
}

func (l *live) writeGroup(group []Message, out *outbox.Queue, o *Options) error {
	if len(group) > 0 {
		n, err := l.Write(group)
		out.Written(n)
		if err != nil {
			return err
		}
	}
	var instead *Message
	if o.Keepalive.Message != nil && out.PingRequested() {
		if m := o.Keepalive.Message(); o.validateMessage(m.Type, m.Data) == nil {
			instead = &m
		}
	}
	id, due := out.NextPing(instead != nil)
	if instead != nil {
		if _, err := l.Write([]Message{*instead}); err != nil {
			return err
		}
	}
	if !due {
		return nil
	}
	err := l.Ping(id)
	if errors.Is(err, errors.ErrUnsupported) {
		l.pingless.Store(true)
		out.FailWaiters(err)
		return nil
	}
	return err
}

// stopWriting ends the writer after what it is writing; the reader goes on.
func (l *live) stopWriting() { l.once.Do(func() { close(l.stop) }) }

// abort ends the link at once and joins its goroutines.
func (l *live) abort() {
	l.stopWriting()
	l.Abort()
	l.wg.Wait()
}

// cause is why a write has failed with err: what the reader says, if it says
// something soon. The peer's close frame may be behind it, and says more.
func (l *live) cause(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-l.heard:
		return l.readErr
	case <-l.stop:
	case <-t.C:
	}
	return err
}
