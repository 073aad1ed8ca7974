package holdfast

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/holdfast-ws/holdfast/internal/verdict"
)

// supervisor runs a Conn. Its goroutine alone owns the state, the link and all
// fields; what others may see is published in the Conn.
type supervisor struct {
	c       *Conn
	ctx     context.Context // ends with CloseNow and with the Conn
	opts    *Options
	network Network
	changes <-chan struct{}
	retry   *retry

	state     State
	endpoints []*endpoint
	at        int            // the endpoint in use
	link      *live          // while connected and closing
	session   *clientSession // the one in use, nil for none; an attempt's while that runs
	epoch     uint64
	attempts  int // since the last connection
	lastErr   error

	delay    time.Duration   // how long to wait
	onChange bool            // a change of the network ends the wait
	settling []time.Duration // what is left of afterOnline
	forced   bool            // Reconnect: dial whatever the network says
	redials  uint64          // calls of Reconnect that have been answered
	closing  *closeRequest
	closedOn *live          // the link that Close ended
	ready    *candidate     // what the next attempt puts into use, nil for none
	probe    *opening       // a WebSocket that may take over from the fallback, or a link that replaces the present one
	verified bool           // that has carried a probe there and back
	wanted   bool           // the server wants another link, once probe has ended
	probes   verdict.Probes // when to try WebSocket again
	sticky   verdict.Sticky // sessions lost to other servers
	strays   verdict.Sticky // and links
	end      error          // what ends the Conn
	why      error          // what kept Close from sending all
	pending  []Event        // told with the coming step
}

// run lives the states until the last. What each does is a method that returns
// the input that ended it.
func (s *supervisor) run(cancel context.CancelFunc) {
	defer close(s.c.ended)
	defer func() {
		cancel()
		if _, ok := s.network.(systemNetwork); ok && s.changes != nil {
			for range s.changes { // closed once the watcher has been joined
			}
		}
	}()
	for s.state != StateClosed {
		var in input
		switch s.state {
		case StateConnecting:
			in = s.connect()
		case StateConnected:
			in = s.serve()
		case StateWaiting:
			in = s.wait()
		case StateOffline:
			in = s.stayOffline()
		case StateClosing:
			in = s.drain()
		}
		s.step(in)
	}
}

// step changes the state, publishes it and tells what led to it.
func (s *supervisor) step(in input) {
	to, ok := s.state.next(in)
	if !ok {
		panic("holdfast: " + s.state.String() + " cannot end by " + in.String())
	}
	s.state = to
	if to == StateClosed {
		s.c.left = unsent(s.c.out.Close(s.end), cmp.Or(s.why, s.end))
		s.c.in.Close(s.end)
		e := Event{Kind: EventClosed, Err: s.end}
		if l := s.closedOn; l != nil {
			e.Endpoint, e.Transport = l.endpoint.name, l.transport
		}
		s.note(e)
	}
	s.publish()
	for _, e := range s.pending {
		s.emit(e)
	}
	s.pending = nil
}

// publish shows the Conn's callers what they may see.
func (s *supervisor) publish() {
	c := s.c
	s.countGaps()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endpoint = s.endpoints[s.at].name
	if s.link != nil {
		c.endpoint = s.link.endpoint.name
	}
	c.link, c.epoch, c.failures, c.lastErr, c.redialled = s.link, max(c.epoch, s.epoch), s.retry.failures, s.lastErr, s.redials
	if s.state == StateClosed {
		c.err = s.end
	}
	if c.state != s.state {
		c.state = s.state
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// countGaps follows the gaps that a session has reported.
func (s *supervisor) countGaps() {
	if s.session != nil {
		s.epoch = max(s.epoch, s.session.end.Epoch())
	}
}

// note keeps an event until the state that it leads to is known.
func (s *supervisor) note(e Event) {
	s.fill(&e)
	s.pending = append(s.pending, e)
}

func (s *supervisor) emit(e Event) {
	s.fill(&e)
	e.State = s.state
	s.c.obs.emit(e)
}

func (s *supervisor) fill(e *Event) {
	if !e.Time.IsZero() {
		return
	}
	s.countGaps() // those are told by whoever finds them
	ep := s.endpoints[s.at]
	e.Time, e.Epoch = time.Now(), s.epoch
	if e.Endpoint != "" { // another one than the present
		return
	}
	e.Endpoint, e.Transport = ep.name, ep.transport.Name()
	if s.link != nil {
		e.Endpoint, e.Transport = s.link.endpoint.name, s.link.transport
	}
}

// heard is false once, when a Network has closed its channel.
func (s *supervisor) heard(ok bool) bool {
	if !ok {
		s.changes = nil
	}
	s.probes.Reset() // another network may not block WebSocket
	return ok
}

// force answers Reconnect: the next dial is made whatever the network says.
func (s *supervisor) force() {
	s.forced = true
	s.c.mu.Lock()
	s.redials = s.c.redials
	select {
	case <-s.c.reconnect: // answered with this one
	default:
	}
	s.c.mu.Unlock()
}

func (s *supervisor) closeRequested(req *closeRequest) input {
	s.closing = req
	return inputClose
}

// failed counts a failure and returns inputFailed with s.delay set, or inputStop
// with s.end set. final: not even another endpoint may be tried.
func (s *supervisor) failed(ep *endpoint, err error, d Decision, floor time.Duration, final bool) input {
	if s.opts.Retry.Decide != nil {
		d = s.opts.Retry.Decide(err, d)
	}
	if d == DecisionReauthorize {
		d = DecisionRetry
		if s.opts.Authorize == nil || ep.reauthorized {
			d = DecisionStop
		}
		ep.reauthorized = true
	}
	ep.retired = d == DecisionStop
	if s.endpoints[s.at] == ep {
		s.nextEndpoint()
	}
	if final && d == DecisionStop || s.endpoints[s.at].retired {
		s.end = err
		return inputStop
	}
	if floor > 0 {
		ep.floor = time.Now().Add(floor)
	}
	if s.endpoints[s.at] != ep || floor == 0 {
		floor = s.floor()
	}
	delay, ok := s.retry.next(d, floor)
	if !ok {
		s.end = &exhaustedError{s.retry.failures, err}
		return inputStop
	}
	s.delay, s.onChange = delay, false
	return inputFailed
}

// floor is how long the present endpoint still asks to be left alone.
func (s *supervisor) floor() time.Duration { return max(0, time.Until(s.endpoints[s.at].floor)) }

// nextEndpoint moves on to the next one in turn that is not retired, if any.
func (s *supervisor) nextEndpoint() {
	for i := 1; i <= len(s.endpoints); i++ {
		if at := (s.at + i) % len(s.endpoints); !s.endpoints[at].retired {
			s.at = at
			return
		}
	}
}

// wait is StateWaiting.
func (s *supervisor) wait() input {
	timer := time.NewTimer(s.delay)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return inputDial
		case <-s.c.reconnect:
			s.force()
			return inputRedial
		case _, ok := <-s.changes:
			if !s.heard(ok) {
				continue
			}
			if s.offline() {
				s.note(Event{Kind: EventOffline, Err: errOffline})
				return inputOffline
			}
			if s.onChange && s.floor() <= 0 {
				return inputRedial
			}
		case req := <-s.c.closing:
			return s.closeRequested(req)
		}
	}
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "http": "80", "wss": "443", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func ipOf(a net.Addr) (netip.Addr, bool) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return t.AddrPort().Addr().Unmap(), true
}
