package holdfast

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/netwatch"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/wslink"
)

// Conn is a connection that is kept up. All methods are safe for concurrent use.
// Close it when done.
type Conn struct {
	opts *Options
	jar  http.CookieJar
	out  *outbox.Queue
	in   *inbox.Queue
	obs  *observer

	end atomic.Pointer[pump.End] // of the session in use, nil for none

	reconnect chan struct{}      // capacity 1
	goneAway  chan struct{}      // capacity 1: the server wants another link
	closing   chan *closeRequest // capacity 1
	closeNow  context.CancelFunc // hurries the close that is under way
	ended     chan struct{}      // the supervisor has ended

	mu        sync.Mutex
	requested bool          // a close was asked for
	changed   chan struct{} // closed and replaced at each change of state
	state     State
	link      *live  // while connected
	endpoint  string // in use, or the next attempt's
	epoch     uint64
	rtt       time.Duration
	connects  uint64
	attempts  uint64
	failures  int
	lastErr   error
	redials   uint64 // calls of Reconnect
	redialled uint64 // of which the state is younger
	err       error  // what ended it

	left error // what Close returns; set before ended is closed
}

// closeRequest asks the supervisor for a graceful close within ctx.
type closeRequest struct {
	ctx    context.Context
	code   StatusCode
	reason string
}

// Dial connects to url and keeps the connection up until Close. It blocks
// through retries, and while offline, until the first connection is up. ctx
// bounds that wait alone: when it ends first, its error is returned, wrapping
// the last failure. Other errors are an *OptionError for arguments that cannot
// be right, a *DialError or *CloseError that no retry can cure, and
// ErrRetriesExhausted around the last failure. nil opts are the defaults. With
// Options.Background it returns after validation.
//
// url is ws:// or wss://, or http:// or https:// with a Fallback, which is then
// the transport. User-info in it is sent as basic authentication.
func Dial(ctx context.Context, url string, opts *Options) (*Conn, error) {
	if err := checkContext(ctx); err != nil {
		return nil, err
	}
	c, err := newConn(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	if c.opts.Background {
		return c, nil
	}
	// A connection that has already ended again counts: it may have brought
	// messages.
	if err := c.waitFor(ctx, func() bool { return c.connects > 0 }); err != nil {
		_ = c.CloseNow()
		return nil, err
	}
	return c, nil
}

func newConn(ctx context.Context, rawURL string, opts *Options) (*Conn, error) {
	if err := opts.validatePlatform(); err != nil {
		return nil, err
	}
	o := opts.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &Conn{opts: o, jar: o.Jar, reconnect: make(chan struct{}, 1), goneAway: make(chan struct{}, 1), closing: make(chan *closeRequest, 1),
		ended: make(chan struct{}), changed: make(chan struct{})}
	switch c.jar {
	case nil:
		c.jar = newHostOnlyJar()
	case NoCookies:
		c.jar = nil
	}
	endpoints, err := o.endpoints(rawURL)
	if err != nil {
		return nil, err
	}
	limits := outbox.Limits{
		MaxBytes: o.SendBuffer.MaxBytes, MaxMessages: o.SendBuffer.MaxMessages, MaxAge: o.SendBuffer.MaxAge,
		WhenFull: outbox.WhenFull(o.SendBuffer.WhenFull), Keep: o.Delivery == AtLeastOnce,
	}
	if o.Delivery == AtMostOnce { // so that Unknown stays sharp on a link that is never silent
		limits.ProveAfter = max(o.Keepalive.Interval, 0)
	}
	c.out = outbox.New(limits, c.dropped)
	c.in = inbox.New(o.ReceiveBuffer, func() { c.out.FailWaiters(ErrReceiveBufferFull) })
	network := o.Network
	if network == nil {
		network = systemNetwork{netwatch.System(), o.DialContext != nil}
	}
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.closeNow = cancel
	c.endpoint = endpoints[0].name
	c.obs = newObserver(o, c)
	s := &supervisor{c: c, ctx: runCtx, opts: o, network: network, changes: network.Changes(runCtx),
		retry: newRetry(o.Retry, nil), endpoints: endpoints}
	go s.run(cancel)
	return c, nil
}

func (o *Options) endpoints(rawURL string) ([]*endpoint, error) {
	var all []*endpoint
	for i, raw := range append([]string{rawURL}, o.Endpoints...) {
		field := "url"
		if i > 0 {
			field = fmt.Sprintf("Endpoints[%d]", i-1)
		}
		ep, err := o.parseEndpoint(field, raw)
		if err != nil {
			return nil, err
		}
		ep.transport = wslink.New()
		if ep.url.Scheme == "http" || ep.url.Scheme == "https" {
			ep.transport, ep.http = o.Fallback[0], true
		}
		all = append(all, ep)
	}
	return all, nil
}

// Send accepts a message for delivery, connected or not; data is copied. nil
// means that it has its place in the send buffer. When the buffer is full,
// SendBuffer.WhenFull decides: by default Send waits until ctx ends. The error is
// a *SendError with Outcome NotSent around ctx's error, ErrBufferFull,
// ErrMessageTooBig, an *OptionError, or what ended the Conn.
func (c *Conn) Send(ctx context.Context, typ MessageType, data []byte) error {
	return c.push(ctx, typ, data, nil)
}

func (c *Conn) push(ctx context.Context, typ MessageType, data []byte, w *outbox.Waiter) error {
	err := cmp.Or(checkContext(ctx), c.opts.validateMessage(typ, data))
	if err == nil {
		err = c.out.Push(ctx, typ, data, w)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, outbox.ErrFull) {
		err = ErrBufferFull
	}
	return &SendError{Outcome: NotSent, Count: 1, Err: err}
}

// SendSync sends a message and waits until its receipt is proven: the next
// WebSocket endpoint, which may be a gateway, has read it. It never means that
// the application has processed it. The proof is a pong that answers a ping sent
// after the message. The error is a *SendError. When ctx ends, or no proof can
// be had, a message that is still queued is withdrawn (NotSent); otherwise the
// Outcome is MaybeSent. No pong within Keepalive.Timeout is ErrNoPong, a full
// receive buffer ErrReceiveBufferFull.
//
// In a session the proof is its acknowledgement: the message is in the receive
// queue of the server's Session. SendSync waits for it through reconnects until
// ctx ends or the session is lost, and with AtLeastOnce beyond that. A message that
// was MaybeSent when ctx ended goes on: the session still delivers it.
func (c *Conn) SendSync(ctx context.Context, typ MessageType, data []byte) error {
	if ctx != nil && ctx.Value(insideOnConnect{}) == c {
		return &SendError{Outcome: NotSent, Count: 1, Err: errInOnConnect}
	}
	if paused, _ := c.in.Paused(); paused {
		return &SendError{Outcome: NotSent, Count: 1, Err: ErrReceiveBufferFull}
	}
	w := outbox.NewWaiter()
	if err := c.push(ctx, typ, data, w); err != nil {
		return err
	}
	return c.await(ctx, w)
}

// Flush waits until the receipt of every message accepted so far is proven, as
// SendSync does for one; while there are such messages and no connection, it
// waits for that, and in a session through every reconnect. nil at once if
// there is nothing to prove.
// The error is a *SendError with the number of messages: also of those accepted
// earlier that were dropped or lost since the last Flush, which are reported
// once while the Conn lives. Messages that are still queued when it returns remain
// so.
func (c *Conn) Flush(ctx context.Context) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	if ctx.Value(insideOnConnect{}) == c {
		return &SendError{Count: c.out.Stats().Queued, Err: errInOnConnect}
	}
	return c.await(ctx, c.out.Flush())
}

func (c *Conn) await(ctx context.Context, w *outbox.Waiter) error {
	if paused, _ := c.in.Paused(); paused {
		c.out.FailWaiters(ErrReceiveBufferFull)
	}
	c.in.Kick() // the receipt has to be read
	err := c.out.Wait(ctx, w, c.opts.Keepalive.Timeout, ErrNoPong)
	var loss *outbox.Loss
	if !errors.As(err, &loss) {
		return err
	}
	e := &SendError{Outcome: NotSent, Count: loss.Count, Err: loss.Err}
	if loss.Maybe {
		e.Outcome = MaybeSent
	}
	return e
}

// Receive returns the next message; its data is the caller's. Each message goes
// to one receiver. When ctx ends, its error is returned and nothing is lost. Once
// the Conn has ended and all that was received before has been delivered,
// every call returns what Err does.
func (c *Conn) Receive(ctx context.Context) (Message, error) {
	if err := checkContext(ctx); err != nil {
		return Message{}, err
	}
	return c.in.Receive(ctx)
}

// ReceiveAppend is Receive with the payload appended to dst: the Data returned
// is the extended slice.
func (c *Conn) ReceiveAppend(ctx context.Context, dst []byte) (Message, error) {
	if err := checkContext(ctx); err != nil {
		return Message{Data: dst}, err
	}
	m, err := c.in.ReceiveAppend(ctx, dst)
	if err != nil {
		m.Data = dst
	}
	return m, err
}

// Messages yields what Receive returns. It ends with the first error, ctx's
// too, which it yields; but it ends silently after a local Close. Leaving the loop
// loses nothing.
func (c *Conn) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			m, err := c.Receive(ctx)
			if errors.Is(err, ErrClosed) || !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// Close sends what was accepted, then closes with 1000 and waits for the peer,
// all within CloseTimeout, after which the link is dropped. It does not
// reconnect for that: when not connected, or when the link dies meanwhile, it
// returns at once. Then the server of a session hears no goodbye, and keeps the
// session until its ResumeTTL is over. The error is an *UnsentError if messages were left, nil if
// none was, whether or not the peer has answered. It joins every goroutine but code of
// the user that is running; Done tells when the last event has been logged and
// the last OnEvent has returned.
// Further calls wait for the first and return the same.
func (c *Conn) Close() error {
	return c.CloseWith(context.Background(), StatusNormalClosure, "")
}

// CloseWith is Close with another code and reason, bounded by ctx too: when it
// ends first, an UnsentError wraps its error. The error is an *OptionError for a
// code or reason that cannot be sent (RFC 6455, section 7.4; 123 bytes), and
// then nothing was closed. The first call of Close or CloseWith counts; the ctx of
// a later one bounds nothing.
func (c *Conn) CloseWith(ctx context.Context, code StatusCode, reason string) error {
	if err := cmp.Or(checkContext(ctx), validateClose(code, reason)); err != nil {
		return err
	}
	c.requestClose(ctx, code, reason)
	<-c.ended
	return c.left
}

// unsent is what Close returns.
func unsent(left outbox.Left, why error) error {
	if left == (outbox.Left{}) {
		return nil
	}
	return &UnsentError{Messages: left.Messages, Bytes: left.Bytes, MaybeSent: left.MaybeSent, Err: why}
}

// CloseNow ends the Conn at once, without a word to the peer, and returns as
// Close does. The server of a session keeps it until its ResumeTTL is over.
func (c *Conn) CloseNow() error {
	c.out.BeginClose(ErrClosed)
	c.closeNow()
	c.requestClose(context.Background(), StatusNormalClosure, "")
	return c.Close()
}

func (c *Conn) requestClose(ctx context.Context, code StatusCode, reason string) {
	c.out.BeginClose(ErrClosed) // Send fails from here on
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.requested {
		c.requested = true
		c.closing <- &closeRequest{ctx, code, reason}
	}
}

// Reconnect drops the link, if there is one, without a word to the peer, and
// dials afresh now; it costs no retry. A session goes on over the next link; without
// one, Flush first if messages may be on their way. It does not wait:
// WaitConnected after it does, for the new link.
func (c *Conn) Reconnect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.redials++
	select {
	case c.reconnect <- struct{}{}:
	default:
	}
}

// WaitConnected waits until a link is up. The error is what ended the Conn,
// ErrClosed once it closes, or ctx's error wrapping the last failure.
func (c *Conn) WaitConnected(ctx context.Context) error {
	return c.waitFor(ctx, func() bool { return c.state == StateConnected && c.redialled == c.redials })
}

// waitFor waits until ok, which is called with c.mu held.
func (c *Conn) waitFor(ctx context.Context, ok func() bool) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	for {
		c.mu.Lock()
		done, state, changed, last, err := ok(), c.state, c.changed, c.lastErr, c.err
		c.mu.Unlock()
		switch {
		case done:
			return nil
		case state == StateClosing:
			return ErrClosed
		case state == StateClosed:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &waitError{ctx.Err(), last}
		}
	}
}

// dropped hears of messages that gave way in the send buffer.
func (c *Conn) dropped(n int, err error) {
	if end := c.end.Load(); end != nil {
		end.Dropped()
	}
	c.mu.Lock()
	e := Event{Time: time.Now(), Kind: EventDropped, State: c.state, Epoch: c.epoch, Count: n, Err: err}
	if c.link != nil {
		e.Endpoint, e.Transport = c.link.endpoint.name, c.link.transport
	}
	c.mu.Unlock()
	c.obs.emit(e)
}

// State returns what the Conn is doing.
func (c *Conn) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Stats returns a snapshot.
func (c *Conn) Stats() Stats {
	out, in := c.out.Stats(), c.in.Stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		State: c.state, Endpoint: c.endpoint, Epoch: c.epoch, RTT: c.rtt, Connects: c.connects, Attempts: c.attempts,
		ConsecutiveFailures: uint64(c.failures), LastError: c.lastErr,
		MessagesSent: out.Sent, BytesSent: out.SentBytes, Dropped: out.Dropped, Unknown: out.Unknown,
		Queued: out.Queued, QueuedBytes: out.QueuedBytes, Unacknowledged: out.Unacknowledged,
		MessagesReceived: in.Received, BytesReceived: in.ReceivedBytes,
		ReceiveQueued: in.Queued, ReceiveQueuedBytes: in.QueuedBytes,
		QueueLimit: c.opts.SendBuffer.MaxMessages, QueueBytesLimit: int64(c.opts.SendBuffer.MaxBytes),
	}
	if c.link != nil {
		s.Transport, s.ConnectedSince = c.link.transport, c.link.since
	}
	return s
}

// Done is closed when the Conn has ended and the last OnEvent has returned.
func (c *Conn) Done() <-chan struct{} { return c.obs.done }

// Err is nil while the Conn lives, ErrClosed after a local close, and else the
// error that ended it.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Subprotocol is the one that the server chose on the present link; "" for none
// and between links.
func (c *Conn) Subprotocol() string {
	if l := c.current(); l != nil {
		return l.Info().Subprotocol
	}
	return ""
}

// Response is the server's answer to the handshake of the present link, its Body
// empty; nil between links and where the transport shows none.
func (c *Conn) Response() *http.Response {
	if l := c.current(); l != nil {
		return l.Info().Response
	}
	return nil
}

func (c *Conn) current() *live {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// pong is Request.OnPong.
func (c *Conn) pong(id uint64) {
	if rtt, ok := c.out.Pong(id); ok {
		c.measured(rtt)
	}
}
