package transport

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// ErrMessageTooBig is wrapped by Link.Read's error when a message was larger
// than Request.MaxMessageSize. The link has told the peer so with 1009.
var ErrMessageTooBig = errors.New("message larger than the limit")

// ErrInsecureCredentials is wrapped by an Error when Authorize set
// credentials for a connection without TLS to another host.
var ErrInsecureCredentials = errors.New("credentials over a connection without TLS")

// ErrNoSession says that the server answered without the session protocol where
// it is required, or where it had spoken it before.
var ErrNoSession = errors.New("the server does not speak the session protocol")

// ErrNotSticky says that sessions were lost because requests reach servers that
// do not know them.
var ErrNotSticky = errors.New("the requests of one session reach different servers")

// Error is what a transport saw of an attempt that made no link. It states
// facts; what they mean is decided in one place, by the root package. Its
// text, and that of every error it wraps, holds no user-info and no query value.
type Error struct {
	// Phase is how far the attempt came.
	Phase Phase
	// StatusCode and Header are the answer's, of the proxy in PhaseProxy and
	// of the server otherwise; 0 and nil when there was none.
	StatusCode int
	Header     http.Header
	// URL is the one that was asked last, after redirects; nil if none was.
	URL *url.URL
	// Proxied says that the way leads through a proxy.
	Proxied bool
	// Err is the cause.
	Err error
}

// Error names the phase and the cause.
func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Phase, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CloseError is what Link.Read returns when the peer closed the link with a
// close frame (RFC 6455, section 5.5.1). A frame without a code is 1005.
type CloseError struct {
	Code   uint16
	Reason string
}

// Error names code and reason.
func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("closed by the peer with %d", e.Code)
	}
	return fmt.Sprintf("closed by the peer with %d %q", e.Code, e.Reason)
}

// ProtocolError is what Link.Read returns when the peer's bytes broke the
// protocol. The link has been closed with Code, 1002 or 1007.
type ProtocolError struct {
	Code uint16
	Err  error
}

// Error names the code and what was wrong.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("protocol error by the peer (%d): %v", e.Code, e.Err)
}

// Unwrap returns what was wrong.
func (e *ProtocolError) Unwrap() error { return e.Err }
