package holdfast

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

// endpoint is one of the URLs, and what is known of it. The supervisor owns it.
type endpoint struct {
	url       *url.URL
	header    http.Header
	name      string // the URL without secrets
	transport Transport

	stable       bool      // it has held a stable link
	reauthorized bool      // Authorize was asked once more since the last stable link
	retired      bool      // it gave a terminal answer
	floor        time.Time // its Retry-After: no dial before, but for Reconnect
}

// attempt is one try to connect, in a goroutine of its own.
type attempt struct {
	conn   *Conn
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when link or err is set
	link   *live
	err    error // *transport.Error

	mu         sync.Mutex
	inCallback bool // code of the user is running
	given      bool // no further callback begins
	orphan     bool // nobody waits for done
}

// start begins an attempt. last is handed to Authorize.
func (c *Conn) start(ctx context.Context, ep *endpoint, number int, epoch uint64, last error) *attempt {
	a := &attempt{conn: c, done: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(ctx)
	go func() {
		defer a.cancel()
		a.link, a.err = a.connect(c, ep, number, epoch, last)
		a.mu.Lock()
		orphan := a.orphan
		close(a.done)
		a.mu.Unlock()
		if orphan && a.link != nil {
			a.link.abort()
		}
	}()
	return a
}

func (a *attempt) connect(c *Conn, ep *endpoint, number int, epoch uint64, last error) (*live, error) {
	o := c.opts
	ctx, cancel := context.WithTimeout(a.ctx, o.HandshakeTimeout)
	defer cancel()
	link, err := ep.transport.Dial(ctx, &transport.Request{
		URL: ep.url, Header: ep.header, Host: o.Host, Subprotocols: o.Subprotocols, Compression: o.Compression,
		Authorize: a.authorizer(o, last), AllowInsecureCredentials: o.AllowInsecureCredentials, Jar: c.jar,
		TLSConfig: o.TLSConfig, Proxy: o.Proxy, DialContext: a.dialer(o),
		MaxMessageSize: o.MaxMessageSize, WriteTimeout: o.WriteTimeout, OnPong: c.pong,
	})
	if err != nil {
		return nil, err
	}
	l := newLive(link, ep.transport.Name(), ep, epoch)
	if o.OnConnect == nil {
		return l, nil
	}
	if err := a.onConnect(c, l, number); err != nil {
		l.abort()
		c.in.Release(true)
		return nil, &transport.Error{Phase: PhaseOnConnect, URL: ep.url, Err: err}
	}
	return l, nil
}

func (a *attempt) authorizer(o *Options, last error) func(context.Context, *http.Request) error {
	if o.Authorize == nil {
		return nil
	}
	return func(ctx context.Context, r *http.Request) error {
		return a.callback(func() error { return o.Authorize(ctx, r, last) })
	}
}

func (a *attempt) dialer(o *Options) func(context.Context, string, string) (net.Conn, error) {
	if o.DialContext == nil {
		return nil
	}
	return func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = a.callback(func() error {
			conn, err = o.DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}
}

// onConnect runs Options.OnConnect over the link, whose reader starts here.
func (a *attempt) onConnect(c *Conn, l *live, number int) error {
	ctx, cancel := context.WithTimeout(context.WithValue(a.ctx, insideOnConnect{}, c), c.opts.HandshakeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, l.Abort)() // a write of the handshake ends with it
	c.in.Hold()
	l.read(c.in)
	h := &Handshake{conn: c, live: l, ctx: ctx, attempt: number}
	err := a.callback(func() error { return c.opts.OnConnect(ctx, h) })
	h.end()
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

// callback runs code of the user, unless nobody waits for the attempt any more.
func (a *attempt) callback(f func() error) error {
	a.mu.Lock()
	if a.given {
		a.mu.Unlock()
		return context.Canceled
	}
	a.inCallback = true
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.inCallback = false
		a.mu.Unlock()
	}()
	return f()
}

// abandon ends the attempt for a Conn that closes. It waits for all but code of
// the user that is running; what that may still lead to is cleared away.
func (a *attempt) abandon() {
	a.cancel()
	a.mu.Lock()
	a.given = true
	a.orphan = a.inCallback
	orphan := a.orphan
	a.mu.Unlock()
	if !orphan {
		<-a.done
		a.discard()
	}
}

// discard ends the link of an attempt that is no longer wanted.
func (a *attempt) discard() {
	if a.link != nil {
		a.link.abort()
		a.conn.in.Release(true)
	}
}
