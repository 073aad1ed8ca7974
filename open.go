package holdfast

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// guard keeps the user's code from running for what has ended: each link and
// opening has its own, beneath that of the attempt which made it.
type guard struct {
	above *guard // nil for none; what it lets no call begin, this one does not either

	mu      sync.Mutex
	running int  // calls of the user's code
	shut    bool // no further call begins
}

func (g *guard) call(f func() error) error {
	g.mu.Lock()
	if g.shut {
		g.mu.Unlock()
		return context.Canceled
	}
	g.running++
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.running--
		g.mu.Unlock()
	}()
	if g.above != nil {
		return g.above.call(f)
	}
	return f()
}

// close lets no further call begin, and says whether one is running.
func (g *guard) close() (busy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	return g.running > 0
}

// candidate is a link that is not in use yet: a plain one, or one that the
// server has welcomed to the session.
type candidate struct {
	link      transport.Link
	transport string
	by        Transport
	endpoint  *endpoint
	guard     *guard
	jar       *stagedJar
	despite   bool   // of a link that it takes the place of
	offer     *offer // nil for a plain link
	session   *clientSession
	welcome   wire.WelcomePayload
}

// opening makes a candidate by one transport, in a goroutine of its own.
type opening struct {
	transport string
	guard     *guard
	cancel    context.CancelFunc
	connected chan struct{} // closed when the way to the server is open
	done      chan struct{} // closed when candidate or err is set

	candidate *candidate
	err       error // *transport.Error, *pump.Rejected

	mu     sync.Mutex
	orphan bool // nobody waits for done
}

// open begins an opening within HandshakeTimeout, for a session whose owner calls
// it. verify: the candidate has to carry a probe there and back.
func (c *Conn) open(ctx context.Context, above *guard, ep *endpoint, t Transport, s *clientSession, last error, verify bool) *opening {
	p := &opening{transport: t.Name(), guard: &guard{above: above}, connected: make(chan struct{}), done: make(chan struct{})}
	ctx, p.cancel = context.WithTimeout(ctx, c.opts.HandshakeTimeout)
	var f *offer
	if offersSession(c.opts) {
		f = s.offer(c.opts)
	}
	go p.run(func() (*candidate, error) {
		cand, err := p.dial(ctx, c, ep, t, s, f, last)
		if err == nil && verify {
			err = cand.verify(ctx)
		}
		if err != nil {
			cand.discard()
			return nil, err
		}
		return cand, nil
	})
	return p
}

// verifying goes on with what has been opened.
func (p *opening) verifying(ctx context.Context, c *Conn) *opening {
	v := &opening{transport: p.transport, guard: p.guard, connected: p.connected, done: make(chan struct{})}
	ctx, v.cancel = context.WithTimeout(ctx, c.opts.HandshakeTimeout)
	go v.run(func() (*candidate, error) {
		if err := p.candidate.verify(ctx); err != nil {
			p.candidate.discard()
			return nil, err
		}
		return p.candidate, nil
	})
	return v
}

func (p *opening) run(f func() (*candidate, error)) {
	defer p.cancel()
	p.candidate, p.err = f()
	p.mu.Lock()
	orphan := p.orphan
	close(p.done)
	p.mu.Unlock()
	if orphan {
		p.candidate.discard()
	}
}

// dial makes a candidate. The session is its owner's all the while.
func (p *opening) dial(ctx context.Context, c *Conn, ep *endpoint, t Transport, s *clientSession, f *offer, last error) (*candidate, error) {
	o := c.opts
	cand := &candidate{transport: t.Name(), by: t, endpoint: ep, guard: p.guard, session: s, jar: stage(c.jar)}
	r := &transport.Request{
		URL: ep.url, Header: ep.header, Host: o.Host, Subprotocols: o.Subprotocols, Compression: o.Compression,
		Authorize: p.authorizer(o, last), AllowInsecureCredentials: o.AllowInsecureCredentials,
		TLSConfig: o.TLSConfig, Proxy: o.Proxy, DialContext: p.dialer(o),
		MaxMessageSize: o.MaxMessageSize, WriteTimeout: o.WriteTimeout, OnPong: c.pong,
		Connected: sync.OnceFunc(func() { close(p.connected) }),
	}
	if cand.jar != nil {
		r.Jar = cand.jar
	}
	if f != nil {
		cand.offer = f
		r.Session = f
	}
	link, err := t.Dial(ctx, r)
	if err != nil {
		return nil, err
	}
	cand.link = link
	if !link.Info().Session {
		cand.offer, cand.session = nil, nil
		if o.Session == SessionRequire || ep.welcomed.Load() {
			return cand, cand.failed(transport.ErrNoSession)
		}
		return cand, nil
	}
	stop := context.AfterFunc(ctx, link.Abort)
	_, batch, err := link.Read(nil)
	if !stop() {
		return cand, cand.failed(ctx.Err())
	}
	if err == nil {
		cand.welcome, err = answer(batch)
	}
	if err == nil && f.sid != "" && cand.welcome.SID != f.sid {
		err = errOtherSession
	}
	if err != nil {
		return cand, cand.failed(err)
	}
	return cand, nil
}

// failed makes the attempt's error of what a link that was made has said.
func (d *candidate) failed(err error) error {
	e := &transport.Error{Phase: PhaseHandshake, URL: d.endpoint.url, Err: err}
	var refused *pump.Rejected
	if errors.As(err, &refused) {
		e.StatusCode = refused.Status
	} else if r := d.link.Info().Response; r != nil && r.StatusCode != http.StatusSwitchingProtocols {
		e.StatusCode, e.Header = r.StatusCode, r.Header
	}
	return e
}

// verify sends 1 KiB there and back, before the candidate is attached: what
// opens and then carries nothing is not worth a switch.
func (d *candidate) verify(ctx context.Context) error {
	if d.offer == nil {
		return nil
	}
	probe := make([]byte, 1024)
	_, _ = rand.Read(probe)
	defer context.AfterFunc(ctx, d.link.Abort)()
	batch := wire.Append(nil, wire.Frame{Type: wire.Ping, Payload: probe})
	if _, err := d.link.Write([]transport.Message{{Type: Binary, Data: batch}}); err != nil {
		return d.failed(err)
	}
	_, batch, err := d.link.Read(nil)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return d.failed(err)
	}
	if f, _, err := wire.Parse(batch); err != nil || f.Type != wire.Pong || !bytes.Equal(f.Payload, probe) {
		return d.failed(errors.New("the link did not carry a probe there and back"))
	}
	return nil
}

// discard ends a candidate that is not wanted; nil is fine.
func (d *candidate) discard() {
	if d != nil && d.link != nil {
		d.link.Abort()
	}
}

// end gives the opening up and waits for it. The guard's owner has seen to it
// that no code of the user holds it up.
func (p *opening) end() {
	if p != nil {
		p.cancel()
		<-p.done
		p.candidate.discard()
	}
}

// abandon gives the opening up for a Conn that closes. It waits for all but code
// of the user that is running; what that may still lead to is cleared away.
func (p *opening) abandon() {
	if p == nil {
		return
	}
	p.cancel()
	if p.guard.close() {
		p.mu.Lock()
		select {
		case <-p.done:
		default:
			p.orphan = true
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
	p.end()
}

func (p *opening) authorizer(o *Options, last error) func(context.Context, *http.Request) error {
	if o.Authorize == nil {
		return nil
	}
	return func(ctx context.Context, r *http.Request) error {
		return p.guard.call(func() error { return o.Authorize(ctx, r, last) })
	}
}

func (p *opening) dialer(o *Options) func(context.Context, string, string) (net.Conn, error) {
	if o.DialContext == nil {
		return nil
	}
	return func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = p.guard.call(func() error {
			conn, err = o.DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}
}
