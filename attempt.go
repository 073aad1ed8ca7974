package holdfast

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/verdict"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	otherNodeTries = 3 // before a session whose node is not found is given up
	otherNodeDelay = 100 * time.Millisecond
)

// endpoint is one of the URLs, and what is known of it. The supervisor owns it.
type endpoint struct {
	url       *url.URL
	header    http.Header
	name      string // the URL without secrets
	transport Transport
	http      bool // its scheme is http or https: transport is the first Fallback

	stable       bool        // it has held a stable link
	reauthorized bool        // Authorize was asked once more since the last stable link
	retired      bool        // it gave a terminal answer
	floor        time.Time   // its Retry-After: no dial before, but for Reconnect
	welcomed     atomic.Bool // it speaks the session protocol; openings look too
	// offered is a session that no WELCOME has answered so far; the server may
	// have made it all the same.
	offered *clientSession
}

// attempt is one try to connect, in a goroutine of its own. While it runs the
// Conn's session is its own.
type attempt struct {
	conn   *Conn
	guard  *guard
	parent context.Context // of what may outlive the attempt
	ctx    context.Context
	cancel context.CancelFunc
	number int
	last   error         // handed to Authorize
	ready  *candidate    // to be put into use without any dialling, nil for none
	done   chan struct{} // closed when what follows is set

	session *clientSession // the one in use from now on, nil for none
	offered *clientSession // the one that links are opened for
	link    *live
	rest    *opening // WebSocket, still under way, where the fallback has won
	blocked error    // why WebSocket did not win
	lost    int      // messages of unknown fate, of a session that is lost
	ended   error    // why that is lost; nil if none is
	epoch   uint64   // the last one of a session that was given up
	sticky  *verdict.Sticky
	err     error

	mu     sync.Mutex
	orphan bool // nobody waits for done
}

// start begins an attempt, which has its session, number and last error. epoch
// is that of a link that does not resume. blocked: WebSocket is known to be.
func (c *Conn) start(ctx context.Context, a *attempt, ep *endpoint, epoch uint64, blocked bool) *attempt {
	a.conn, a.guard, a.parent, a.done = c, &guard{}, ctx, make(chan struct{})
	a.ctx, a.cancel = context.WithCancel(ctx)
	go func() {
		defer a.cancel()
		a.link, a.err = a.connect(ep, epoch, blocked)
		a.mu.Lock()
		orphan := a.orphan
		close(a.done)
		a.mu.Unlock()
		if orphan {
			a.clear()
		}
	}()
	return a
}

func (a *attempt) open(ep *endpoint, t Transport) *opening {
	return a.conn.open(a.parent, a.guard, ep, t, a.offered, a.last, false)
}

func (a *attempt) connect(ep *endpoint, epoch uint64, blocked bool) (*live, error) {
	if a.ready != nil {
		return a.attach(a.ready, epoch)
	}
	if a.session.expired() {
		a.forget(ErrSessionLost)
	}
	a.offer(ep)
	cand, err := a.candidate(ep, blocked)
	if err != nil {
		return nil, err
	}
	return a.attach(cand, epoch)
}

// offer chooses the session to open links for: the one in use if the endpoint
// knows it.
func (a *attempt) offer(ep *endpoint) {
	if a.session != nil && a.session.endpoint == ep {
		a.offered = a.session
		return
	}
	if ep.offered == nil {
		ep.offered = newSession(ep)
	}
	a.offered = ep.offered
}

// candidate makes a link. A session that the server does not know any more makes
// place for a new one.
func (a *attempt) candidate(ep *endpoint, blocked bool) (*candidate, error) {
	for tries := 1; ; {
		cand, err := a.race(ep, blocked)
		var refused *pump.Rejected
		if !errors.As(err, &refused) || a.offered != a.session {
			return cand, err
		}
		switch {
		case refused.Status == http.StatusMisdirectedRequest && tries < otherNodeTries:
			tries++
			select {
			case <-time.After(otherNodeDelay):
			case <-a.ctx.Done():
				return nil, err
			}
			continue
		case refused.Status == http.StatusMisdirectedRequest:
			if a.conn.jar != nil && a.sticky.Lost(time.Now()) {
				a.forget(err)
				return nil, &transport.Error{Phase: PhaseHandshake, StatusCode: refused.Status, URL: ep.url, Err: transport.ErrNotSticky}
			}
		case refused.Status == http.StatusGone && refused.Code != 0: // its tombstone
			a.session.end.Settle(refused.RecvNext)
			err := &CloseError{Code: StatusCode(refused.Code), Reason: refused.Reason, Remote: true}
			a.forget(err)
			return nil, err
		case refused.Status != http.StatusGone:
			a.forget(err) // it would be refused again
			return nil, err
		}
		a.forget(err)
		a.offer(ep)
	}
}

// forget gives the session up, if there is one.
func (a *attempt) forget(err error) {
	if a.session != nil {
		a.epoch = a.session.end.Epoch()
		a.lost += a.conn.endSession(a.session, err)
		a.ended, a.session = err, nil
	}
}

func (a *attempt) race(ep *endpoint, blocked bool) (*candidate, error) {
	if !a.conn.opts.canFallBack(ep) {
		p := a.open(ep, ep.transport)
		select {
		case <-p.done:
			return p.candidate, p.err
		case <-a.ctx.Done():
			p.end()
			return nil, a.ctx.Err()
		}
	}
	r := &race{a: a}
	cand, err := r.run(ep, blocked)
	a.rest, a.blocked = nil, nil
	if err == nil && cand.transport != ep.transport.Name() {
		a.rest, a.blocked = r.rest(), r.blocked
	}
	return cand, err
}

// attach puts a candidate into use, and runs OnConnect where the sequence of
// messages begins anew.
func (a *attempt) attach(cand *candidate, epoch uint64) (*live, error) {
	c := a.conn
	resumed := cand.session != nil && cand.session == a.session
	if !resumed {
		a.forget(ErrSessionLost) // another endpoint's
		if a.session = cand.session; a.session != nil {
			c.startSession(a.session, cand.welcome, epoch)
			cand.endpoint.offered = nil
			cand.endpoint.welcomed.Store(true)
		}
	}
	if c.opts.OnConnect != nil && !resumed {
		c.in.Hold()
	}
	l, err := c.attach(cand, epoch)
	if err != nil {
		cand.discard()
		a.end()
		a.forget(err)
		return nil, cand.failed(err)
	}
	if c.opts.OnConnect == nil || resumed {
		l.flow()
		return l, nil
	}
	if err := a.onConnect(l); err != nil {
		l.abort()
		l.join() // whoever gives the attempt up does not wait for it
		c.in.Release(true)
		a.end()
		a.forget(err)
		return nil, &transport.Error{Phase: PhaseOnConnect, URL: cand.endpoint.url, Err: err}
	}
	l.flow()
	return l, nil
}

// onConnect runs Options.OnConnect over a link that is being read.
func (a *attempt) onConnect(l *live) error {
	c := a.conn
	ctx, cancel := context.WithTimeout(context.WithValue(a.ctx, insideOnConnect{}, c), c.opts.HandshakeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, l.Abort)() // a write of the handshake ends with it
	h := &Handshake{conn: c, live: l, ctx: ctx, attempt: a.number}
	err := a.guard.call(func() error { return c.opts.OnConnect(ctx, h) })
	h.end()
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

// abandon ends the attempt for a Conn that closes. It waits for all but code of
// the user that is running; what that may still lead to is cleared away.
func (a *attempt) abandon() {
	a.cancel()
	if a.guard.close() {
		a.mu.Lock()
		select {
		case <-a.done:
		default:
			a.orphan = true
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
	}
	<-a.done
	a.discard()
}

// discard ends what an attempt has made and nobody wants any more.
func (a *attempt) discard() {
	a.cancel()
	a.clear()
}

func (a *attempt) clear() {
	a.end()
	if a.link != nil {
		a.link.abort()
		a.conn.in.Release(a.link.session == nil) // a session goes on, and has acknowledged it
	}
}

// end gives up what is still under way beside the link.
func (a *attempt) end() {
	a.rest.end()
	a.rest = nil
}
