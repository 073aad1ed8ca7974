package holdfast

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

// Transport is a way of carrying messages, such as a fallback. Those who write
// one implement transport.Transport; it may change before v1.
type Transport = transport.Transport

// Link is what a Transport makes. It may change before v1.
type Link = transport.Link

// Options configure a Conn. The zero value, and nil, mean the defaults. Dial
// copies them and changes nothing in the caller's.
type Options struct {
	// Header is sent with the handshake. Authorization, Proxy-Authorization
	// and Cookie in it are credentials: see AllowInsecureCredentials. The
	// upgrade's own headers (Upgrade, Connection, Sec-WebSocket-…) and Host
	// cannot be set here.
	Header http.Header
	// Authorize runs before every request on a fresh clone with the final
	// http(s) URL; the headers, path and query that it sets hold for that
	// request. A changed scheme or host is an error. last is the failure
	// before, nil at first: a *DialError with status 401 or 403, or a
	// *CloseError with code 3000 or 3003, says that the credentials were
	// refused, and that this is their one chance to be renewed. Its error is
	// the attempt's, and is retried unless it wraps backoff.Permanent of
	// github.com/cenkalti/backoff/v4. It must return when ctx ends: the next
	// attempt waits for it.
	//
	// Every request means those of each transport: a WebSocket handshake, and
	// over polling also each poll and send of a link that is in use, where last
	// stays what it was when the link was made. It runs concurrently with
	// itself while two transports are raced or a probe is under way, and when a
	// poll and a send begin together.
	Authorize func(ctx context.Context, r *http.Request, last error) error
	// Host overrides the Host header.
	Host string
	// Jar keeps cookies between requests, so that sticky load balancers
	// work. nil is a host-only jar of the Conn's own; NoCookies keeps none. It
	// must not block, nor call Close.
	Jar http.CookieJar
	// TLSConfig is for wss and https; nil means the defaults of crypto/tls. Its
	// callbacks must not block, nor call Close.
	TLSConfig *tls.Config
	// Proxy says which proxy a request goes through: http, https (CONNECT, for
	// ws:// too), socks5 or socks5h. nil is http.ProxyFromEnvironment. It is
	// asked for each attempt and each check of the network: it must not block,
	// nor call Close.
	Proxy func(*http.Request) (*url.URL, error)
	// DialContext makes TCP connections; nil is a net.Dialer. Where it is
	// set, the system's Network does not call the host offline. It must
	// return when ctx ends: the next attempt waits for it.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Subprotocols are offered in this order (RFC 6455, section 1.9). In a
	// browser's session none is chosen.
	Subprotocols []string
	// Compression offers permessage-deflate (RFC 7692).
	Compression bool
	// Endpoints are more URLs of the same service. A failure moves on to the
	// next; the loss of a stable link tries the same one first. A terminal
	// answer retires its endpoint, and ends the Conn when all are retired;
	// close code 1000 ends it at once. A session is of the endpoint that opened
	// it: a link to another one gives it up, and opens a new one.
	Endpoints []string
	// HandshakeTimeout bounds each attempt, 10 s by default, and once more
	// OnConnect. Where two transports are raced each has as long from its own
	// start.
	HandshakeTimeout time.Duration

	// OnConnect talks on a fresh link before queued messages flow: log in,
	// subscribe. It runs within HandshakeTimeout, once for each session, and for
	// each link without one: not when a session is resumed or changes its
	// transport, nor for a gap. What it does not receive goes to Receive. Its
	// error fails the attempt, and the session is given up; it is retried unless
	// the error wraps backoff.Permanent. Flush and SendSync fail inside it when
	// given its ctx; given another, they wait in vain until that ends.
	OnConnect func(ctx context.Context, h *Handshake) error
	// Retry says how often and how fast to try again.
	Retry RetryPolicy
	// Keepalive finds dead links.
	Keepalive Keepalive
	// WriteTimeout is how long the network may take nothing of what is being
	// written, 10 s by default; then the link is replaced. A slow link that
	// takes some lives. Over polling it bounds the answer to a send too, which
	// has a second more for every 8 KiB.
	WriteTimeout time.Duration
	// CloseTimeout bounds Close, 5 s by default.
	CloseTimeout time.Duration
	// Background lets Dial return at once, after validation; ctx then lends
	// its values alone. WaitConnected waits.
	Background bool

	// SendBuffer bounds what Send accepts ahead of the network.
	SendBuffer SendBuffer
	// ReceiveBuffer is how many bytes may wait for Receive, 4 MiB by default.
	// Each message counts 64 bytes more than its length. When they are
	// reached the link is not read, which slows the peer, so that at most one
	// message more is held; and once as much again while OnConnect runs.
	//
	// In a session the link is always read. There this is the window that the
	// peer keeps to, and a peer that does not loses the link. A message that is
	// larger comes in parts, once all before it have been received.
	ReceiveBuffer int
	// MaxMessageSize bounds a message, sent or received, in bytes: 16 MiB by
	// default. Send refuses a larger one; a server that sends one is told
	// 1009, and the Conn ends with ErrMessageTooBig. In a session each side
	// tells the other its limit: Send refuses what is over the server's too, and
	// what was accepted before that was known is dropped with
	// ErrMessageTooBig.
	MaxMessageSize int64
	// Delivery says what becomes of messages that were written to a link that
	// died before a receipt. In a session that link matters only when the
	// session is lost with it.
	Delivery Delivery
	// Session says whether the session protocol of package server is used, in
	// which messages outlive the links that carry them.
	Session SessionMode

	// Fallback is a transport for where WebSocket is blocked, such as
	// fallback.LongPoll. Several are tried in turn, each when the one before has
	// failed.
	//
	// Beside a ws or wss URL it is raced: it starts when WebSocket has failed, or
	// has not been welcomed within 0.3 s to 1.5 s, by the distance. WebSocket
	// goes on, and takes over if it is welcomed after all. So a fallback carries the
	// connection only where the same server answers it: never when the server
	// is down, the host offline or the credentials are wrong, which fail on both.
	// Where WebSocket was blocked before, the process remembers that for a while
	// (an hour at most, by origin, network and proxy): then the fallback
	// starts first and WebSocket 1 s later. While the fallback carries the
	// connection WebSocket is probed after 5 s, 30 s, 2, 10 and then every 30 min,
	// and anew from 5 s after each change of the network. A session goes on from
	// one to the other without loss; without one, the probe's link takes the
	// place of the fallback's, and Message.Epoch grows.
	//
	// For an http or https URL its first element is the transport, and no WebSocket
	// is tried.
	//
	// fallback.LongPoll carries sessions only: with SessionOff it is refused, and in
	// a browser it needs SessionRequire. fallback.PlainPoll has none, and is no
	// fallback for a server that has welcomed this Conn to a session.
	Fallback []Transport
	// Network detects being offline; nil is the operating system's.
	Network Network
	// AllowInsecureCredentials lets credentials travel over ws:// or http:// to
	// other hosts than this one. Without it that is refused with
	// ErrInsecureCredentials. Credentials are user-info in a URL, and
	// Authorization, Proxy-Authorization and Cookie in Header or set by Authorize.
	AllowInsecureCredentials bool

	// Logger gets a record for each event, nil is silent; the last one may come
	// after Close, and before Done. Records hold no user-info and no query values.
	Logger *slog.Logger
	// OnEvent gets each event, in order, on one goroutine, with no lock held;
	// it may call anything of the Conn, Close too. StateClosing leads to no event
	// of its own. At most 1,024 events wait
	// for it; then routine ones (connecting, attempt failed, waiting, network
	// changed) give way, oldest first. EventClosed comes last and always. Events
	// have no order relative to Receive.
	OnEvent func(Event)
}

// NoCookies as Options.Jar keeps no cookies.
var NoCookies http.CookieJar = noCookies{}

type noCookies struct{}

func (noCookies) SetCookies(*url.URL, []*http.Cookie) {}
func (noCookies) Cookies(*url.URL) []*http.Cookie     { return nil }

// Keepalive says how a dead link is found. Any frame received is a sign of life,
// nothing sent is. While the receive buffer is full, and so a link without a
// session is not read, the verdict is suspended.
//
// In a session the pings are frames of its own protocol, as some things on the way
// pass no others, and not those of WebSocket. Over polling a link also ends when
// the answer to a poll is 10 s late.
type Keepalive struct {
	// Interval is how long nothing is received before a ping goes out, 25 s
	// by default; a negative one turns these pings off. A link that is never
	// silent is pinged as often while messages sent have no receipt, so that
	// Stats.RTT and Unknown keep up; not in a session, where receipts come by
	// themselves. Flush, SendSync, AtLeastOnce and a change of the network ping
	// when they need to.
	Interval time.Duration
	// Timeout is how long the answer may take, 10 s by default. It bounds
	// the wait of Flush and SendSync for their proof too, but not in a session.
	Timeout time.Duration
	// Message, if set, gives an application message to send in place of the
	// ping, for services that answer only those. It must not block, nor call
	// Close. A message that Send would refuse is replaced by a ping. What needs
	// a proof of receipt still pings. It is for links without a session.
	Message func() Message
}

// SendBuffer bounds the messages that Send has accepted and no link has taken
// yet. With AtLeastOnce, and in a session, those that wait for a receipt count
// too.
type SendBuffer struct {
	// MaxBytes is 8 MiB by default, MaxMessages 65,536. A message larger than
	// MaxBytes is accepted when nothing else is in the buffer.
	MaxBytes, MaxMessages int
	// MaxAge drops messages that have waited longer; 0 keeps them. In a session
	// it is for those that were never sent.
	MaxAge time.Duration
	// WhenFull says what Send does when there is no room.
	WhenFull WhenFull
}

// WhenFull says what Send does when the send buffer is full.
type WhenFull int

const (
	// WhenFullBlock waits for room until ctx ends.
	WhenFullBlock WhenFull = iota
	// WhenFullFail returns ErrBufferFull.
	WhenFullFail
	// WhenFullDropOldest makes room by dropping the oldest messages, counted in
	// Stats.Dropped and reported by EventDropped and the next Flush. If all of
	// them are being written at that moment, it waits for the writer.
	//
	// In a session those that were never sent go first, then those that were
	// and are not acknowledged. The peer is told at their place: there its
	// Message.Epoch grows.
	WhenFullDropOldest
)

// Delivery says what becomes of messages that were written to a link that died
// before the peer proved to have read them. A session sends them again on its
// next link, and none arrives twice, whatever Delivery says: there it decides
// only about those that are not acknowledged when the session is lost. Messages
// never sent go on in the next one.
type Delivery int

const (
	// AtMostOnce never sends a message twice; those messages may be lost, and
	// are counted in Stats.Unknown and reported by the next Flush.
	AtMostOnce Delivery = iota
	// AtLeastOnce keeps messages in the send buffer until a receipt, and sends
	// the others again on the next link, so that some may arrive twice. The
	// receipt is a pong: it is asked for after a quarter of the send buffer or
	// 1 s. A server whose pongs do not repeat the ping's payload, as RFC 6455
	// demands, never frees the buffer. A browser has no pongs: there it needs
	// SessionRequire.
	AtLeastOnce
)

// SessionMode says whether the session protocol is used (docs/protocol.md). In a
// session each message is handed to the other end once and in order, over as many
// links and transports as that takes, or a gap is reported at its place. It lives
// in the memory of both ends: it is lost with either process, when it had no link
// for the server's ResumeTTL (2 min by default), when another server answers,
// when OnConnect fails, and when a link is made to another of the Endpoints.
type SessionMode int

const (
	// SessionAuto uses it where the server offers it: one that does not is a
	// plain WebSocket server. Once one has, an endpoint that no longer does is a
	// failed attempt. In a browser it is SessionOff, as the offer is a
	// header.
	SessionAuto SessionMode = iota
	// SessionOff does not ask for it.
	SessionOff
	// SessionRequire accepts no server without it: that ends the Conn. In a
	// browser it offers the subprotocol holdfast.v1, and the first message is
	// the session's HELLO.
	SessionRequire
)

// withDefaults returns a copy whose zero values are replaced.
func (o *Options) withDefaults() *Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.Header = canonical(c.Header)
	c.TLSConfig = c.TLSConfig.Clone()
	c.Subprotocols = append([]string(nil), c.Subprotocols...)
	c.Endpoints = append([]string(nil), c.Endpoints...)
	c.Fallback = append([]Transport(nil), c.Fallback...)
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	orDefault(&c.HandshakeTimeout, 10*time.Second)
	if c.Retry.MaxRetries == 0 {
		c.Retry.MaxRetries = 10
	}
	if c.Retry.InitialDelay == 0 {
		c.Retry.InitialDelay = time.Second
		if c.Retry.MaxDelay > 0 {
			c.Retry.InitialDelay = min(time.Second, c.Retry.MaxDelay)
		}
	}
	orDefault(&c.Retry.MaxDelay, max(30*time.Second, c.Retry.InitialDelay))
	orDefault(&c.Retry.StableAfter, 10*time.Second)
	orDefault(&c.Keepalive.Interval, 25*time.Second)
	orDefault(&c.Keepalive.Timeout, 10*time.Second)
	orDefault(&c.WriteTimeout, 10*time.Second)
	orDefault(&c.CloseTimeout, 5*time.Second)
	orDefault(&c.SendBuffer.MaxBytes, 8<<20)
	orDefault(&c.SendBuffer.MaxMessages, 65536)
	orDefault(&c.ReceiveBuffer, 4<<20)
	orDefault(&c.MaxMessageSize, 16<<20)
	return &c
}

// canonical copies a header with canonical names.
func canonical(h http.Header) http.Header {
	c := make(http.Header, len(h))
	for name, values := range h {
		name = http.CanonicalHeaderKey(name)
		c[name] = append(c[name], values...)
	}
	return c
}

func orDefault[T comparable](p *T, def T) { *p = orElse(*p, def) }

func orElse[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}
