package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/liveness"
	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

// plainLink is the one link of a plain session. Its messages are the session's,
// and when it ends the session does.
type plainLink struct {
	closing chan struct{}   // closed when the session is to close the link
	ctx     context.Context // ends when it is to do so at once
	abort   context.CancelFunc
}

// servePlain serves a WebSocket client that does not know sessions.
func (s *Server) servePlain(w http.ResponseWriter, r *http.Request, principal, subprotocol string) *refusal {
	n := s.newSession(r, principal, subprotocol)
	n.id = s.node + "." + randomName(16)
	p := &plainLink{closing: make(chan struct{})}
	p.ctx, p.abort = context.WithCancel(context.Background())
	defer p.abort()
	n.plain = p
	n.place.transport, n.place.linked = transportWebSocket, true
	n.makeQueues()
	if _, f := s.admit(n); f != nil {
		return f
	}
	var chosen []string
	if subprotocol != "" {
		chosen = []string{subprotocol}
	}
	l := s.accept(w, r, &wslink.AcceptOptions{Subprotocols: chosen, MaxMessageSize: s.opts.MaxMessageSize,
		OnPong: n.pong})
	if l == nil {
		n.endPlain(errAborted)
		return nil
	}
	defer s.release(l)
	n.servePlainLink(l)
	return nil
}

// servePlainLink serves the link until it ends, and ends the session. A
// goroutine serves each direction.
func (s *Session) servePlainLink(l transport.Link) {
	if !s.begin() {
		s.endPlain(errShutdown)
		return
	}
	s.obs.linked(holdfast.EventConnected, false, transportWebSocket, time.Now())
	var wg sync.WaitGroup
	stopRead, stopWrite := make(chan struct{}), make(chan struct{})
	read, wrote := make(chan error, 1), make(chan error, 1)
	wg.Go(func() { read <- pump.ReadPlain(l, s.in, 1, stopRead) })
	wg.Go(func() { wrote <- pump.WritePlain(l, s.out, s.pinger(), stopWrite) })
	stopWriting := sync.OnceFunc(func() { close(stopWrite) })
	err := s.supervisePlain(l, read, wrote, stopWriting)
	l.Abort()
	stopWriting()
	close(stopRead)
	wg.Wait()
	s.endPlain(err)
}

func (s *Session) pong(id uint64) {
	if rtt, ok := s.out.Pong(id); ok {
		s.obs.measured(rtt)
	}
}

// pinger sends Keepalive.Message in place of pings, where there is one.
func (s *Session) pinger() pump.Pinger {
	p := pump.Pinger{Unsupported: func() {}}
	if message := s.srv.opts.Keepalive.Message; message != nil {
		p.Instead = func() (transport.Message, bool) {
			m := message()
			return m, validateMessage(m.Type, m.Data) == nil
		}
	}
	return p
}

// supervisePlain watches the link, and closes it when asked. The error is why
// the session ends.
func (s *Session) supervisePlain(l transport.Link, read, wrote <-chan error, stopWriting func()) error {
	keepalive := s.srv.opts.Keepalive
	life := liveness.Liveness{Interval: keepalive.Interval, Timeout: keepalive.Timeout}
	lifeTimer := newStoppedTimer()
	defer lifeTimer.Stop()
	alive := func() bool {
		paused, heard := s.in.Paused()
		if last := l.LastRead(); last.After(heard) {
			heard = last
		}
		verdict, next := life.Check(time.Now(), heard, paused)
		if verdict == liveness.AskForLife {
			s.out.RequestPing()
		}
		if next > 0 {
			lifeTimer.Reset(next)
		}
		return verdict != liveness.Dead
	}
	alive()
	var age <-chan time.Time
	if s.srv.opts.MaxLinkAge > 0 {
		t := time.NewTimer(s.srv.opts.MaxLinkAge)
		defer t.Stop()
		age = t.C
	}
	for {
		select {
		case err := <-read:
			return closeError(err)
		case err := <-wrote:
			return closeError(cause(err, read))
		case <-lifeTimer.C:
			if !alive() {
				return closeError(holdfast.ErrNoPong)
			}
		case <-age:
			s.beginClose(uint16(holdfast.StatusGoingAway), "", holdfast.ErrClosed)
		case <-s.plain.closing:
			return s.closePlain(l, read, wrote, stopWriting)
		case <-s.plain.ctx.Done():
			return errShutdown
		}
	}
}

// cause is why a write has failed with err: what the reader says, if it says
// something soon. The client's close frame may be behind it, and says more.
func cause(err error, read <-chan error) error {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case err = <-read:
	case <-t.C:
	}
	return err
}

// closePlain sends what was accepted and closes the link.
func (s *Session) closePlain(l transport.Link, read, wrote <-chan error, stopWriting func()) error {
	s.mu.Lock()
	how, why := s.grave, s.closeErr
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.plain.ctx, s.srv.opts.ResumeTTL)
	defer cancel()
	s.in.Drain() // the client's close frame comes after what it has sent
	select {
	case <-s.out.Drained():
	case <-read:
		return why
	case <-wrote:
		return why
	case <-ctx.Done():
		return why
	}
	stopWriting()
	ctx, cancel = context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	if l.Close(ctx, how.code, how.reason) == nil {
		s.out.Proven()
	}
	return why
}

// endPlain ends the session. Nobody serves the link any more.
func (s *Session) endPlain(err error) {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.left, s.why = s.out.Close(err), err
	s.in.Close(err)
	s.cancel(err)
	s.obs.close(err)
	s.srv.bury(s, tombstone{})
	close(s.done)
	s.srv.opts.Logger.Debug("holdfast: plain session ended", "session", s.id, "reason", err)
}
