// Package transport holds what every way of carrying messages shares: the
// Message, the Link that carries it, the Transport that makes links, and the
// facts that a failed attempt leaves behind.
//
// It is the ground floor: it imports nothing of Holdfast. Programs that only
// send and receive need the root package alone; this one is for those who
// write a transport. Its interfaces may change before v1.
package transport

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"
)

// A Transport makes links to a server in one particular way.
// Implementations are safe for concurrent use.
type Transport interface {
	// Name is the transport's name in Stats and Event: "websocket",
	// "longpoll", "plainpoll".
	Name() string
	// Dial makes one link. ctx bounds the handshake alone: the link outlives
	// it. Dial leaves nothing running when it fails, and a failure is an *Error.
	Dial(ctx context.Context, r *Request) (Link, error)
}

// A Link carries whole messages in order, both ways, until it fails; it never
// comes back. Read has one caller at a time, Write and Ping together have one
// caller at a time; the other methods are safe for concurrent use.
type Link interface {
	// Read blocks for the next message, appends its payload to dst and
	// returns the extended slice. Pongs and the peer's close are noticed only
	// while Read runs. The error is a *CloseError when the peer closed the
	// link, a *ProtocolError when its bytes broke the protocol,
	// ErrMessageTooBig (wrapped), or else what the network said. After an
	// error every later call fails.
	Read(dst []byte) (MessageType, []byte, error)
	// Write hands messages to the network in order. n counts the messages of which any
	// byte may have left: with an error, msgs[n:] certainly did not leave.
	Write(msgs []Message) (n int, err error)
	// Ping asks the peer to prove that it has read all that was written
	// before; the answer arrives at Request.OnPong with the same id. It
	// returns errors.ErrUnsupported where the transport has no such proof.
	Ping(id uint64) error
	// Close says code and reason to the peer, waits until ctx ends for its
	// answer, and frees the link. nil means that the peer answered, and so
	// has read all that was written before. Only Read meets the answer: go on
	// reading until it fails.
	Close(ctx context.Context, code uint16, reason string) error
	// Abort frees the link at once, without a word to the peer. Calls under
	// way return with an error. It may be called more than once, and after Close.
	Abort()
	// LastRead is when bytes of the peer last arrived; at first, when the
	// link was made.
	LastRead() time.Time
	// Info tells how the link was made. It does not change.
	Info() *Info
}

// Info is what is known of a link from its handshake.
type Info struct {
	// Response is the server's answer to the handshake, its Body empty; nil
	// where the transport or the platform shows none.
	Response *http.Response
	// Subprotocol is the one that the server chose, "" for none.
	Subprotocol string
	// LocalAddr and RemoteAddr are the ends of the connection; nil where
	// the transport keeps none. Behind a proxy RemoteAddr is the proxy's.
	LocalAddr, RemoteAddr net.Addr
	// Session says that the peer speaks the session protocol: each message is
	// a batch of its frames, and the first one that is read answers
	// Session.Hello.
	Session bool
	// Answered says that Write returns when the peer has answered what was
	// written, so that nothing is on its way between two calls.
	Answered bool
}

// Session is the session's side of one link. Its methods are safe for
// concurrent use.
type Session interface {
	// Hello returns the HELLO frame to open with. It holds a secret.
	Hello() []byte
	// Poll returns what to ask for messages with, where they come by request:
	// the number of the link's attachment, 0 before it is attached, and frames.
	Poll() (attachment uint64, frames []byte)
	// Receive takes frames that came otherwise than by Read: in the answer to a
	// Write. An error ends the link.
	Receive(frames []byte) error
}

// Request is what a transport needs to make a link. The transport changes
// nothing in it.
type Request struct {
	// URL is the endpoint, ws, wss, http or https, without user-info.
	URL *url.URL
	// Header is sent with each request: the user's, and Authorization where
	// the URL had user-info. Host overrides the Host header.
	Header http.Header
	Host   string
	// Subprotocols are offered in this order; Compression offers
	// permessage-deflate (RFC 7692).
	Subprotocols []string
	Compression  bool
	// Session offers the session protocol; nil wants plain messages.
	Session Session
	// Connected is called, perhaps more than once, when the way to the server
	// is open (TCP, a proxy's tunnel, TLS) and nothing has been asked yet; nil
	// does nothing.
	Connected func()
	// Authorize runs on every request just before it is sent, with its http
	// or https URL. It may change header, path and query; nil does nothing.
	// Dial waits for it and for DialContext: they must return when ctx ends.
	Authorize func(ctx context.Context, r *http.Request) error
	// AllowInsecureCredentials lets what Authorize sets travel without TLS.
	AllowInsecureCredentials bool
	// Jar keeps cookies between requests; nil keeps none.
	Jar http.CookieJar
	// TLSConfig is for https and wss; nil means the defaults.
	TLSConfig *tls.Config
	// Proxy says which proxy, if any, a request goes through; nil means none.
	Proxy func(*http.Request) (*url.URL, error)
	// DialContext makes TCP connections; nil means a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxMessageSize bounds a message received, in bytes.
	MaxMessageSize int64
	// WriteTimeout is how long the network may take nothing of what is written.
	WriteTimeout time.Duration
	// OnPong gets the id of each Ping that the peer answered, from inside
	// Link.Read. An id may repeat, or be one that was never sent.
	OnPong func(id uint64)
}
