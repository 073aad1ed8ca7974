package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/internal/wslink"
	"github.com/holdfast-ws/holdfast/transport"
)

// What a Conn has by default.
const (
	maxMessageSize = 16 << 20
	writeTimeout   = 10 * time.Second
	closeTimeout   = 5 * time.Second
)

// errLooked ends an attempt that was to look, and not to ask.
var errLooked = errors.New("looked at, and nothing asked")

// attempt is one dial of the WebSocket transport, in a goroutine of its own, with
// the times of what it met.
type attempt struct {
	cancel context.CancelFunc
	open   chan struct{} // closed when the way to the server is open
	done   chan struct{} // closed when link or err is set
	link   transport.Link
	info   *transport.Info // of the link, also if it was refused
	err    error

	onPong func(id uint64) // set before the link is read

	mu    sync.Mutex
	marks marks
}

// marks are when things were first seen, zero for never.
type marks struct {
	dialled   time.Time // the TCP connection was there
	tlsBegan  time.Time
	opened    time.Time // the way was open
	ended     time.Time
	states    []tls.ConnectionState // of each TLS that was verified
	proxyTLS  bool                  // the first of them is the proxy's
	statesAt  []time.Time
	requested bool // the first request may leave: see errLooked

	heard   time.Time     // when bytes last came or went
	silence time.Duration // the longest time in which none did
}

// sign notes that bytes came or went, and how long none had.
func (m *marks) sign() {
	now := time.Now()
	if !m.heard.IsZero() {
		m.silence = max(m.silence, now.Sub(m.heard))
	}
	m.heard = now
}

func (a *attempt) now() marks {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.marks
}

// begin starts the attempt, beside the steps that look at DNS and TCP by
// themselves. For an http or https URL it goes as far as a request would leave.
func (x *exam) begin() {
	if x.ctx.Err() != nil {
		return
	}
	x.hello = newOffer()
	session := transport.Session(x.hello)
	if inBrowser { // a Conn offers none either
		session = nil
	}
	x.attempt = x.connect(session, nil, x.polling())
	if x.polling() {
		x.beginPolls()
	}
}

// end gives up what the attempt has made.
func (x *exam) end() {
	if x.attempt == nil {
		return
	}
	if x.socket != nil {
		x.socket.end()
	}
	x.attempt.give()
}

// give ends an attempt and waits for it.
func (a *attempt) give() {
	a.cancel()
	<-a.done
	if a.link != nil {
		a.link.Abort()
	}
}

// connect makes an attempt. change may set the TLS configuration; look only looks.
func (x *exam) connect(session transport.Session, change func(*tls.Config), look bool) *attempt {
	a := &attempt{open: make(chan struct{}), done: make(chan struct{}), onPong: func(uint64) {}}
	ctx, cancel := context.WithTimeout(x.ctx, x.opts.Timeout)
	a.cancel = cancel
	a.marks.proxyTLS = x.proxy != nil && x.proxy.Scheme == "https"
	r := x.request(session)
	r.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := x.dial(ctx, network, addr)
		if conn == nil || err != nil {
			return conn, err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.marks.dialled.IsZero() {
			a.marks.dialled = time.Now()
		}
		return &tap{Conn: conn, attempt: a, look: look}, nil
	}
	r.Connected = func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.marks.opened.IsZero() {
			a.marks.opened = time.Now()
			close(a.open)
		}
		a.marks.requested = true
	}
	r.TLSConfig = a.watch(x.opts.TLSConfig, change)
	r.OnPong = func(id uint64) { a.onPong(id) }
	if look {
		target := *r.URL
		target.Scheme = map[bool]string{false: "ws", true: "wss"}[x.secure()]
		r.URL = &target
	}
	go func() {
		defer cancel()
		defer close(a.done)
		a.link, a.err = wslink.New().Dial(ctx, r)
		if a.err == nil {
			a.info = a.link.Info()
			a.err = a.welcome(ctx, r.URL)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.marks.ended = time.Now()
	}()
	return a
}

// welcome reads the answer to HELLO, as a Conn does before it has a candidate.
func (a *attempt) welcome(ctx context.Context, u *url.URL) error {
	if !a.info.Session {
		return nil
	}
	stop := context.AfterFunc(ctx, a.link.Abort)
	_, batch, err := a.link.Read(nil)
	fail := &transport.Error{Phase: transport.PhaseHandshake, URL: u}
	if !stop() {
		err = ctx.Err()
	}
	var f wire.Frame
	if err == nil {
		f, _, err = wire.Parse(batch)
	}
	switch {
	case err != nil:
		fail.Err = err
	case f.Type == wire.Reject:
		p, err := wire.ParseReject(f.Payload)
		if fail.StatusCode = p.Status; err != nil {
			fail.Err = err
		} else {
			fail.Err = fmt.Errorf("the session was refused with %d", p.Status)
		}
	case f.Type != wire.Welcome:
		fail.Err = fmt.Errorf("%v in place of WELCOME", f.Type)
	default:
		return nil
	}
	a.link.Abort()
	return fail
}

// request is what a Conn would ask the transport for.
func (x *exam) request(session transport.Session) *transport.Request {
	r := &transport.Request{
		URL: x.url, Header: x.header, Host: x.opts.Host, Subprotocols: x.opts.Subprotocols, Session: session,
		AllowInsecureCredentials: x.opts.AllowInsecureCredentials, Proxy: x.opts.Proxy,
		MaxMessageSize: maxMessageSize, WriteTimeout: writeTimeout, Authorize: x.authorizer(),
	}
	r.Jar, _ = cookiejar.New(nil) // it never fails; for redirects that set cookies
	if r.Proxy == nil {
		r.Proxy = http.ProxyFromEnvironment
	}
	return r
}

// authorizer is Authorize, whose credentials must not be shown.
func (x *exam) authorizer() func(context.Context, *http.Request) error {
	if x.opts.Authorize == nil {
		return nil
	}
	return func(ctx context.Context, r *http.Request) error { return x.authorize(ctx, r, nil) }
}

func (x *exam) authorize(ctx context.Context, r *http.Request, last error) error {
	err := x.opts.Authorize(ctx, r, last)
	x.secrets.ofHeader(r.Header)
	x.secrets.ofURL(r.URL)
	return err
}

// watch returns a configuration that notes each TLS connection once it is
// verified.
func (a *attempt) watch(cfg *tls.Config, change func(*tls.Config)) *tls.Config {
	if cfg = cfg.Clone(); cfg == nil {
		cfg = &tls.Config{}
	}
	then := cfg.VerifyConnection
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		a.mu.Lock()
		a.marks.states = append(a.marks.states, cs)
		a.marks.statesAt = append(a.marks.statesAt, time.Now())
		a.mu.Unlock()
		if then != nil {
			return then(cs)
		}
		return nil
	}
	if change != nil {
		change(cfg)
	}
	return cfg
}

// server is the TLS connection with the server, if there was one.
func (m marks) server() (cs tls.ConnectionState, ok bool) {
	n := 0
	if m.proxyTLS {
		n = 1
	}
	if len(m.states) <= n {
		return cs, false
	}
	return m.states[n], true
}

// tap notes when TLS begins and when nothing is said, and keeps a request back that is not to leave.
type tap struct {
	net.Conn
	attempt *attempt
	look    bool
}

// Write passes p on.
func (t *tap) Write(p []byte) (int, error) {
	a := t.attempt
	a.mu.Lock()
	const handshake = 22 // a record's type (RFC 8446, section 5.1)
	if len(p) > 1 && p[0] == handshake && p[1] == 3 && a.marks.tlsBegan.IsZero() {
		a.marks.tlsBegan = time.Now()
	}
	keep := t.look && a.marks.requested
	a.marks.sign()
	a.mu.Unlock()
	if keep {
		return 0, errLooked
	}
	return t.Conn.Write(p)
}

// Read notes that something has come.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.attempt.mu.Lock()
		t.attempt.marks.sign()
		t.attempt.mu.Unlock()
	}
	return n, err
}

// failure is the error of an attempt that has ended, nil if it did what it was to
// do, or has not ended.
func (a *attempt) failure() *transport.Error {
	select {
	case <-a.done:
	default:
		return nil
	}
	var te *transport.Error
	switch {
	case a.err == nil, errors.Is(a.err, errLooked):
		return nil
	case errors.As(a.err, &te):
		return te
	}
	return &transport.Error{Err: a.err}
}

// offer is the session's side of a link that is opened and never attached
// (docs/protocol.md).
type offer struct{ hello []byte }

func newOffer() *offer {
	p := wire.HelloPayload{RecvNext: 1, MaxMessage: maxMessageSize}
	_, _ = rand.Read(p.Secret[:]) // it never fails
	return &offer{wire.Append(nil, wire.Frame{Type: wire.Hello, Payload: p.Append(nil)})}
}

// Hello implements transport.Session.
func (o *offer) Hello() []byte { return o.hello }

// Poll implements transport.Session.
func (*offer) Poll() (attachment uint64, frames []byte) { return 0, nil }

// Receive implements transport.Session.
func (*offer) Receive([]byte) error { return errors.New("not attached") }
