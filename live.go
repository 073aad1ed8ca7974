package holdfast

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/transport"
)

// live is a link with the reader that serves it, and a writer that has a goroutine
// while there is something to write. abort joins them.
type live struct {
	transport.Link
	conn      *Conn
	transport string
	by        Transport
	endpoint  *endpoint
	guard     *guard // of the user's code that the link runs
	epoch     uint64
	since     time.Time        // when it was connected, OnConnect done
	up        time.Time        // when the first of the links was that this one goes on from
	despite   bool             // it was made although the network said offline
	session   *clientSession   // nil for a plain link
	at        *pump.Attachment // its place in the session

	reader   *pump.Reader
	pingless atomic.Bool    // the transport has no pings
	writer   *outbox.Writer // nil until there is something to write
	failed   chan error     // the first failure
	heard    chan struct{}  // closed once readErr is set
	readErr  error
	stop     chan struct{} // ends the writer, and a reader that waits for room
	once     sync.Once
	wg       sync.WaitGroup
}

// attach makes a candidate a link in use, which is read from here on.
func (c *Conn) attach(d *candidate, epoch uint64) (*live, error) {
	now := time.Now()
	l := &live{Link: d.link, conn: c, transport: d.transport, by: d.by, endpoint: d.endpoint, guard: d.guard, epoch: epoch, since: now, up: now,
		session: d.session,
		failed:  make(chan error, 2), stop: make(chan struct{}), heard: make(chan struct{})}
	if l.session != nil {
		at, err := l.session.end.Attach(d.welcome, d.link.Info().Answered)
		if err != nil {
			return nil, err
		}
		l.at, l.session.ttl = at, d.welcome.ResumeTTL
		l.session.detached = time.Time{}
		d.offer.at.Store(at)
		l.write(l.at.Writer(l.Link, l.writeFailed))
	}
	if l.at != nil {
		l.reader = l.at.NewReader(l.Link, l.stop)
	} else {
		l.reader = pump.NewPlainReader(l.Link, c.in, epoch, l.stop)
	}
	c.in.Use(l.reader)
	d.jar.commit()
	l.wg.Go(func() {
		if err := l.read(); err != nil {
			l.readErr = err
			l.failed <- err
			close(l.heard)
			if !isClosed(l.stop) { // a later link may be held for OnConnect
				c.in.EndHeld(closeError(err))
			}
		}
	})
	return l, nil
}

func (l *live) read() error {
	err := l.reader.Run()
	if l.at == nil {
		return err
	}
	var refused *pump.Rejected
	if errors.As(err, &refused) {
		return l.refused(refused)
	}
	var closed *transport.CloseError
	if errors.As(err, &closed) { // the session's own CLOSE is a frame
		return linkClosedError(closed.Error())
	}
	var broken *session.Violation
	if errors.As(err, &broken) { // tell the peer; there is no answer to wait for
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = l.Link.Close(ctx, broken.Code, "")
		if broken.Code == uint16(StatusMessageTooBig) {
			return fmt.Errorf("%w of %d bytes", ErrMessageTooBig, l.conn.opts.MaxMessageSize)
		}
		return &transport.ProtocolError{Code: broken.Code, Err: broken}
	}
	if errors.Is(err, transport.ErrMessageTooBig) { // a batch, which MaxMessageSize has nothing to do with
		return &transport.ProtocolError{Code: uint16(StatusProtocolError), Err: err}
	}
	return err
}

// linkClosedError says that a link of a session was closed, by whoever: the
// session goes on.
type linkClosedError string

func (e linkClosedError) Error() string { return "the link was " + string(e) + ", not the session" }

// refused is what follows from a REJECT on a link in use.
func (l *live) refused(r *pump.Rejected) error {
	switch {
	case r.Status == http.StatusGone && r.Code != 0: // the session's tombstone
		l.session.end.Settle(r.RecvNext)
		return &CloseError{Code: StatusCode(r.Code), Reason: r.Reason, Remote: true, Err: r}
	case r.Status == http.StatusConflict && r.Attachment > l.at.Number() && !isClosed(l.at.Gone()):
		return &CloseError{Code: StatusPolicyViolation, Remote: true, Err: errUsedElsewhere}
	}
	return r
}

// flow lets queued messages out.
func (l *live) flow() {
	l.since = time.Now()
	l.up = l.since
	if l.at != nil {
		l.session.end.Flow()
		return
	}
	p := pump.Pinger{Unsupported: func() { l.pingless.Store(true) }}
	if instead := l.conn.opts.Keepalive.Message; instead != nil {
		p.Instead = func() (Message, bool) {
			m := instead()
			return m, l.conn.opts.validateMessage(m.Type, m.Data) == nil
		}
	}
	l.write(pump.PlainWriter(l.Link, l.conn.out, p, l.writeFailed))
}

func (l *live) write(w *outbox.Writer) {
	l.writer = w
	l.conn.out.Use(w)
}

func (l *live) writeFailed(err error) { l.failed <- l.cause(err) }

// stopWriting ends the writer after what it is writing; the reader goes on.
func (l *live) stopWriting() {
	l.once.Do(func() {
		close(l.stop)
		if l.writer != nil {
			l.writer.Stop()
		}
	})
}

// join waits for the goroutines of a link that has ended.
func (l *live) join() {
	l.wg.Wait()
	if l.writer != nil {
		l.writer.Wait()
	}
}

// abort ends the link at once and joins its goroutines, but for one that runs
// code of the user.
func (l *live) abort() {
	l.stopWriting()
	l.conn.in.Leave(l.reader)
	l.Abort()
	if busy := l.guard.close(); !busy {
		l.join()
		l.conn.out.Leave(l.writer)
	} else if l.session != nil { // a plain one's is waited for by who ends the link
		l.conn.out.Leave(l.writer)
	}
	if l.at != nil {
		l.at.Detach()
		if l.session.detached.IsZero() && l.session.end.Current() == nil {
			l.session.detached = time.Now()
		}
	}
}

// close ends the conversation, after all that was sent. nil means that the peer
// has read it all.
func (l *live) close(ctx context.Context, code StatusCode, reason string) error {
	if l.at == nil {
		l.stopWriting()
		return l.Link.Close(ctx, uint16(code), reason)
	}
	end := l.session.end
	end.Close(uint16(code), reason)
	l.reader.Kick()
	select {
	case <-end.Done():
	case err := <-l.failed:
		if !isClosed(end.Done()) { // the server closes the link after it
			return closeError(err)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	if !l.Info().Answered {
		l.stopWriting()
		_ = l.Link.Close(ctx, uint16(StatusNormalClosure), "")
	}
	return nil
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
