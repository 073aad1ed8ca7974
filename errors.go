package holdfast

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/transport"
)

var (
	// ErrClosed is what calls return after a local Close; errors.Is matches
	// net.ErrClosed too.
	ErrClosed error = closedError{}
	// ErrRetriesExhausted is wrapped by the error that ends a Conn when
	// Retry.MaxRetries is used up, together with the last failure.
	ErrRetriesExhausted = errors.New("retries exhausted")
	// ErrBufferFull is wrapped by Send's error when the send buffer is full
	// and SendBuffer.WhenFull is WhenFullFail.
	ErrBufferFull = errors.New("send buffer full")
	// ErrDropped is wrapped by EventDropped's error, and by the SendError that
	// tells of a message that gave way in a full send buffer (WhenFullDropOldest).
	ErrDropped = outbox.ErrDropped
	// ErrStale is wrapped in the same places for a message that waited longer
	// than SendBuffer.MaxAge.
	ErrStale = outbox.ErrStale
	// ErrMessageTooBig is wrapped by Send's error for a message over
	// Options.MaxMessageSize, or over what the server of a session takes, and
	// by the error that ends a Conn whose server sent one.
	ErrMessageTooBig = transport.ErrMessageTooBig
	// ErrNoPong says that the peer did not answer a ping in time: it is wrapped
	// by the CloseError of a dead link, and by the error of Flush and SendSync
	// on a link without a session. A session's peer may take its time.
	ErrNoPong = errors.New("no pong from the peer")
	// ErrReceiveBufferFull is wrapped by the error of Flush and SendSync while
	// the receive buffer is full: the link is not being read, so the proof
	// that they wait for cannot arrive. Receive, then try again. It does not
	// happen in a session, whose links are always read.
	ErrReceiveBufferFull = errors.New("receive buffer full, so no proof of receipt can be read")
	// ErrSessionLost says that the server no longer knows the session: it has
	// restarted, or has had no link of it for too long. EventDropped wraps it where
	// messages are of unknown fate for that.
	ErrSessionLost = errors.New("session lost: the server no longer knows it")
	// ErrInsecureCredentials says that credentials would have travelled over
	// ws:// or http:// to another host. Use wss://, or set
	// Options.AllowInsecureCredentials.
	ErrInsecureCredentials = transport.ErrInsecureCredentials

	errNotConnected  = errors.New("not connected")
	errReconnect     = errors.New("Reconnect was called")
	errNetworkChange = errors.New("the network changed and the link's local address is gone")
	errInOnConnect   = errors.New("Flush and SendSync cannot be used inside OnConnect: queued messages flow after it returns")
)

type closedError struct{}

func (closedError) Error() string        { return "holdfast: connection closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }

// inner is an error's text inside another one of this package.
func inner(err error) string { return strings.TrimPrefix(fmt.Sprint(err), "holdfast: ") }

// Phase is how far an attempt to connect came.
type Phase = transport.Phase

// The phases, in order.
const (
	PhaseResolve   = transport.PhaseResolve   // looking the host name up
	PhaseConnect   = transport.PhaseConnect   // making the TCP connection
	PhaseProxy     = transport.PhaseProxy     // asking the proxy to connect (HTTP CONNECT, SOCKS5)
	PhaseTLS       = transport.PhaseTLS       // the TLS handshake
	PhaseHandshake = transport.PhaseHandshake // the WebSocket handshake, or a poll's open
	PhaseAuthorize = transport.PhaseAuthorize // Options.Authorize
	PhaseOnConnect = transport.PhaseOnConnect // Options.OnConnect
)

// Class is the kind of cause behind a failed attempt.
type Class = transport.Class

// The classes. DialError.Hint says what to do about each.
const (
	ClassUnknown      = transport.ClassUnknown      // nothing here fits
	ClassOffline      = transport.ClassOffline      // this host has no way to the target
	ClassLocalPolicy  = transport.ClassLocalPolicy  // a local rule forbids it: firewall, blackhole or prohibit route
	ClassUnreachable  = transport.ClassUnreachable  // a router or neighbour says the target cannot be reached
	ClassServerDown   = transport.ClassServerDown   // the host answers, but nothing listens
	ClassTimeout      = transport.ClassTimeout      // no answer in time
	ClassName         = transport.ClassName         // the host name does not exist
	ClassDNS          = transport.ClassDNS          // the name servers failed
	ClassTLS          = transport.ClassTLS          // the TLS handshake failed
	ClassTLSTrust     = transport.ClassTLSTrust     // the certificate does not verify
	ClassWrongScheme  = transport.ClassWrongScheme  // TLS spoken to a port without it, or the other way round
	ClassTransient    = transport.ClassTransient    // the connection broke during the handshake
	ClassBlocked      = transport.ClassBlocked      // plain HTTP works, the WebSocket upgrade does not
	ClassIntercepted  = transport.ClassIntercepted  // something else answered in the server's place
	ClassProxyAuth    = transport.ClassProxyAuth    // the proxy wants credentials
	ClassProxyRefused = transport.ClassProxyRefused // the proxy refuses this target
	ClassProxyDown    = transport.ClassProxyDown    // the proxy cannot be reached, or cannot reach the target
	ClassNotFound     = transport.ClassNotFound     // nothing lives at this path
	ClassUnauthorized = transport.ClassUnauthorized // credentials missing, wrong or expired
	ClassRejected     = transport.ClassRejected     // the server refused the request as it is
	ClassOverloaded   = transport.ClassOverloaded   // the server is there but cannot serve now
	ClassCallback     = transport.ClassCallback     // Authorize or OnConnect returned an error
	ClassNotSticky    = transport.ClassNotSticky    // a balancer sends one session to different servers
)

// DialError is a failed attempt to connect, explained. Where a fallback failed
// beside WebSocket, it is about the one that says more, Hint tells the other's
// class if that is another one, and Decision is the milder of the two.
type DialError struct {
	// Phase is how far the attempt came, Class the kind of cause.
	Phase Phase
	Class Class
	// StatusCode is the HTTP status of the answer (the proxy's in
	// PhaseProxy); 0 if there was none.
	StatusCode int
	// RetryAfter is what the server asked for, at most 5 minutes; 0 if nothing.
	RetryAfter time.Duration
	// Decision is what the tables make of it, before RetryPolicy.Decide.
	Decision Decision
	// Hint tells a person what to look at.
	Hint string
	// URL is the endpoint without user-info and query values; Transport is
	// the transport that tried.
	URL, Transport string
	// Attempt counts the attempts since the last connection, from 1.
	Attempt int
	// Err is the cause.
	Err error

	onChange bool // a change of the network is reason to try at once
}

// Error names endpoint, class, cause and hint.
func (e *DialError) Error() string {
	s := "holdfast: dial " + e.URL + ": " + e.Class.String()
	if e.Err != nil {
		s += ": " + inner(e.Err)
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// CloseError is the end of an established link: by a close frame, by a
// protocol error, or without a word (code 1006, the cause in Err). In a session
// a code with Remote is that of the session's own close, or 1008 where another
// program uses its secret; a close frame that ends the link alone counts as 1006.
type CloseError struct {
	// Code is the close code (RFC 6455, section 7.4), Reason its text.
	Code   StatusCode
	Reason string
	// Remote says that the peer closed; otherwise this side did, or the
	// network.
	Remote bool
	// Err is the cause where there is one beyond the code.
	Err error
}

// Error names who closed, the code, the reason and the cause.
func (e *CloseError) Error() string {
	s := "holdfast: link lost: "
	if e.Remote {
		s = "holdfast: closed by the peer: "
	}
	s += e.Code.String()
	if e.Reason != "" {
		s += fmt.Sprintf(" %q", e.Reason)
	}
	if e.Err != nil {
		s += ": " + inner(e.Err)
	}
	return s
}

// Unwrap returns the cause, nil if the code says it all.
func (e *CloseError) Unwrap() error { return e.Err }

// Outcome says what became of a message that was not confirmed.
type Outcome int

const (
	// MaybeSent: the message may have reached the peer, and in a session that
	// lives it still will. Sending it again may make it arrive twice.
	MaybeSent Outcome = iota
	// NotSent: the message has not left and will not. Sending it again is safe.
	NotSent
)

// String returns "maybe sent" or "not sent".
func (o Outcome) String() string {
	if o == NotSent {
		return "not sent"
	}
	return "maybe sent"
}

// SendError is the error of Send, SendSync and Flush. It unwraps to the
// cause: the context's error, ErrBufferFull, ErrMessageTooBig, ErrClosed, the
// error that ended the Conn, and so on.
type SendError struct {
	// Outcome says whether sending again is safe.
	Outcome Outcome
	// Count is how many messages it speaks of.
	Count int
	// Err is the cause.
	Err error
}

// Error names outcome, count and cause.
func (e *SendError) Error() string {
	if e.Count == 1 {
		return fmt.Sprintf("holdfast: message %v: %s", e.Outcome, inner(e.Err))
	}
	return fmt.Sprintf("holdfast: %d messages %v: %s", e.Count, e.Outcome, inner(e.Err))
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// UnsentError is what Close returns when accepted messages were left.
type UnsentError struct {
	// Messages and Bytes were accepted and never handed over.
	Messages int
	Bytes    int64
	// MaybeSent messages were handed to the last link without proof of receipt.
	MaybeSent int
	// Err is why they were left.
	Err error
}

// Error names the counts and the cause.
func (e *UnsentError) Error() string {
	var left []string
	if e.Messages > 0 {
		left = append(left, fmt.Sprintf("%d messages (%d bytes) not sent", e.Messages, e.Bytes))
	}
	if e.MaybeSent > 0 {
		left = append(left, fmt.Sprintf("%d maybe sent", e.MaybeSent))
	}
	return fmt.Sprintf("holdfast: closed with %s: %s", strings.Join(left, " and "), inner(e.Err))
}

// Unwrap returns the cause.
func (e *UnsentError) Unwrap() error { return e.Err }

// OptionError is an argument, an option or a URL that cannot be right. Dial
// returns it before anything is dialled; Send and CloseWith return it too.
type OptionError struct {
	// Field names it: "url", "ctx", "Retry.MaxRetries", "Endpoints[0]", …
	Field string
	// Err says what is wrong.
	Err error
}

// Error names the field and what is wrong with it.
func (e *OptionError) Error() string { return "holdfast: " + e.Field + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *OptionError) Unwrap() error { return e.Err }

// exhaustedError ends a Conn at the cap.
type exhaustedError struct {
	failures int
	last     error
}

func (e *exhaustedError) Error() string {
	if e.failures == 1 {
		return fmt.Sprintf("holdfast: %v at the first failure: %s", ErrRetriesExhausted, inner(e.last))
	}
	return fmt.Sprintf("holdfast: %v after %d failures in a row, the last: %s", ErrRetriesExhausted, e.failures, inner(e.last))
}

func (e *exhaustedError) Unwrap() []error { return []error{ErrRetriesExhausted, e.last} }

// waitError is a context that ended while waiting for a connection.
type waitError struct{ ctxErr, last error }

func (e *waitError) Error() string {
	if e.last == nil {
		return "holdfast: not connected yet: " + e.ctxErr.Error()
	}
	return fmt.Sprintf("holdfast: not connected yet: %v, the last failure: %s", e.ctxErr, inner(e.last))
}

func (e *waitError) Unwrap() []error {
	if e.last == nil {
		return []error{e.ctxErr}
	}
	return []error{e.ctxErr, e.last}
}
