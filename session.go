package holdfast

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
)

var (
	errUsedElsewhere = errors.New("another program uses this session's secret")
	errNotAttached   = errors.New("the link is not attached to the session yet")
	errOtherSession  = errors.New("the server answered with another session")
)

// clientSession is this end of a session and what opens its links. Who runs the
// attempt owns it, otherwise the supervisor.
type clientSession struct {
	endpoint *endpoint // sid and secret go to no other
	secret   [wire.SecretLen]byte

	end      *pump.End // nil until the first WELCOME
	sid      string
	ttl      time.Duration // how long the server remembers it without a link
	detached time.Time     // when the last link ended; zero while there is one
	adopted  bool          // a link of it has been told as connected
}

func newSession(ep *endpoint) *clientSession {
	s := &clientSession{endpoint: ep}
	_, _ = rand.Read(s.secret[:]) // it never fails
	return s
}

// expired says that the server has forgotten it by its own word.
func (s *clientSession) expired() bool {
	return s != nil && !s.detached.IsZero() && time.Since(s.detached) > s.ttl
}

// offer is the session's side of one link (transport.Session).
type offer struct {
	hello []byte
	sid   string // "" where a session is still to be made
	at    atomic.Pointer[pump.Attachment]
}

func (s *clientSession) offer(o *Options) *offer {
	p := wire.HelloPayload{Secret: s.secret, SID: s.sid, RecvNext: 1, MaxMessage: uint64(o.MaxMessageSize)}
	if s.end != nil {
		p.RecvNext, _ = s.end.RecvNext()
	}
	return &offer{sid: s.sid, hello: wire.Append(nil, wire.Frame{Type: wire.Hello, Payload: p.Append(nil)})}
}

// Hello implements transport.Session.
func (f *offer) Hello() []byte { return f.hello }

// Poll implements transport.Session.
func (f *offer) Poll() (attachment uint64, frames []byte) {
	if at := f.at.Load(); at != nil {
		return at.Number(), at.Poll()
	}
	return 0, nil
}

// Receive implements transport.Session.
func (f *offer) Receive(frames []byte) error {
	if at := f.at.Load(); at != nil {
		return at.Receive(frames)
	}
	return errNotAttached
}

// answer reads what the server says to HELLO.
func answer(batch []byte) (wire.WelcomePayload, error) {
	f, n, err := wire.Parse(batch)
	switch {
	case err != nil:
		return wire.WelcomePayload{}, err
	case f.Type == wire.Reject:
		p, err := wire.ParseReject(f.Payload)
		if err != nil {
			return wire.WelcomePayload{}, err
		}
		return wire.WelcomePayload{}, &pump.Rejected{RejectPayload: p}
	case f.Type != wire.Welcome || n != len(batch):
		return wire.WelcomePayload{}, fmt.Errorf("%w: %v in place of WELCOME", wire.ErrMalformed, f.Type)
	}
	w, err := wire.ParseWelcome(f.Payload)
	if err == nil && w.SID == "" {
		err = fmt.Errorf("%w: a WELCOME without an id", wire.ErrMalformed)
	}
	return w, err
}

// startSession makes the session's end at its first WELCOME; epoch is what its
// messages have. The queues are no other session's.
func (c *Conn) startSession(s *clientSession, w wire.WelcomePayload, epoch uint64) {
	s.sid, s.ttl = w.SID, w.ResumeTTL
	limit := min(w.MaxMessage, uint64(c.opts.MaxMessageSize))
	s.end = pump.New(pump.Config{
		Session: session.Config{MaxMessage: c.opts.MaxMessageSize, Window: int64(c.opts.ReceiveBuffer)},
		Out:     c.out, In: c.in, MaxMessage: int(limit), Epoch: epoch,
		OnGap: c.gap, OnPong: c.measured, OnGoAway: c.goAway,
	})
	c.end.Store(s.end)
}

// endSession forgets a session whose memory at the server is lost: what it has
// not acknowledged is sent again or of unknown fate, as Options.Delivery says.
func (c *Conn) endSession(s *clientSession, err error) (unknown int) {
	s.end.Forget()
	c.end.Store(nil)
	return c.out.EndAcks(err)
}

// gap hears of messages of the peer that will never come.
func (c *Conn) gap(count, epoch uint64) {
	c.mu.Lock()
	c.epoch = epoch
	e := Event{Time: time.Now(), Kind: EventGap, State: c.state, Epoch: epoch, Count: int(count)}
	if c.link != nil {
		e.Endpoint, e.Transport = c.link.endpoint.name, c.link.transport
	}
	c.mu.Unlock()
	c.obs.emit(e)
}

func (c *Conn) measured(rtt time.Duration) {
	c.mu.Lock()
	c.rtt = rtt
	c.mu.Unlock()
	c.obs.member.RTT(rtt)
}

// goAway hears that the server wants another link.
func (c *Conn) goAway(uint64) {
	select {
	case c.goneAway <- struct{}{}:
	default:
	}
}
