package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/internal/wslink"
)

// Options configure a Server. The zero value, and nil, mean the defaults. New
// copies them.
type Options struct {
	// Authenticate says who makes a request. It runs on every one: on each
	// handshake, open, poll and send, also of a session that is open already. A
	// session belongs to the principal that opened it; others get 403. nil lets
	// anyone in, as principal "".
	//
	// An error refuses the request with 401, and the session stays as it is. A
	// *holdfast.CloseError says more: with code 3003 (StatusForbidden) the
	// answer is 403, with 1013 (StatusTryAgainLater) 503, for when it cannot be
	// found out now.
	Authenticate func(*http.Request) (principal string, err error)
	// ClientAddr is the client's address, for the limits that count by it. nil,
	// and an answer of "", mean RemoteAddr's host. Behind a proxy give what it
	// forwards. Without ClientAddr no limit holds for peers whose address is
	// private or loopback, since they may be a proxy; that is logged once.
	ClientAddr func(*http.Request) string
	// OriginPatterns allow browsers' origins beside the server's own host, on
	// every transport. Each is matched with path.Match, without regard to case,
	// against the origin's host and port, or with "://" in it against scheme
	// and host. A request without an Origin is allowed.
	OriginPatterns []string
	// Subprotocols are what the server speaks (RFC 6455, section 1.9), the best
	// first: the first one that the client offers is chosen.
	Subprotocols []string
	// ResumeTTL is how long a session outlives its last link, 2 minutes by
	// default, a year at most. For as long the end of a session is remembered.
	ResumeTTL time.Duration
	// MaxLinkAge is how long a WebSocket link may live before its client is asked
	// for another one, which is authenticated afresh: 0 is for ever. A session's
	// link that is not replaced within 30 s of that is dropped, the session is
	// not; a plain one is closed with 1001. Polls need none, as each is
	// authenticated.
	MaxLinkAge time.Duration
	// MaxMessageSize bounds a message received, in bytes: 1 MiB by default. The
	// client of a session is told, and its larger Send fails at once; a plain
	// one is closed with 1009.
	MaxMessageSize int64
	// MaxSessions bounds all sessions; 0 is no limit. At it, opening one is
	// answered with 503.
	MaxSessions int
	// MaxSessionsPerAddress bounds those opened from one address, an IPv6 one by
	// its /64: 64 by default, a negative one is no limit. At it the answer is 429.
	MaxSessionsPerAddress int
	// MaxSessionsPerPrincipal bounds a principal's, 16 by default, a negative one
	// is no limit; "" is not counted. At it the principal's session that has
	// been without a link for longest gives way, or the answer is 429.
	MaxSessionsPerPrincipal int
	// OpenRate is how many sessions an address may open a second, 10 by
	// default; as many may come at once. A negative one is no limit. Over it the
	// answer is 429.
	OpenRate float64
	// SendBuffer bounds what Send accepts ahead of the client's
	// acknowledgement: 1 MiB, 1,024 messages and WhenFullBlock by default.
	SendBuffer holdfast.SendBuffer
	// Keepalive finds dead WebSocket links: 25 s and 10 s by default, a negative
	// Interval turns it off. Message is for plain sessions. A client that polls
	// is taken for gone when its next poll is Timeout late.
	Keepalive holdfast.Keepalive
	// Logger gets what goes wrong, and at level Debug the life of each session;
	// nil is silent. Records hold no credential.
	Logger *slog.Logger
}

// withDefaults returns a copy whose zero values are replaced.
func (o *Options) withDefaults() *Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.OriginPatterns = append([]string(nil), c.OriginPatterns...)
	c.Subprotocols = append([]string(nil), c.Subprotocols...)
	orDefault(&c.ResumeTTL, 2*time.Minute)
	orDefault(&c.MaxMessageSize, 1<<20)
	orDefault(&c.MaxSessionsPerAddress, 64)
	orDefault(&c.MaxSessionsPerPrincipal, 16)
	orDefault(&c.OpenRate, 10)
	orDefault(&c.SendBuffer.MaxBytes, 1<<20)
	orDefault(&c.SendBuffer.MaxMessages, 1024)
	orDefault(&c.Keepalive.Interval, 25*time.Second)
	orDefault(&c.Keepalive.Timeout, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &c
}

func orDefault[T comparable](p *T, def T) {
	var zero T
	if *p == zero {
		*p = def
	}
}

// validate checks options that have their defaults.
func (o *Options) validate() error {
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"ResumeTTL", o.ResumeTTL}, {"MaxLinkAge", o.MaxLinkAge},
		{"Keepalive.Timeout", o.Keepalive.Timeout}, {"SendBuffer.MaxAge", o.SendBuffer.MaxAge},
	} {
		if d.value < 0 {
			return optionError(d.field, "%v is negative", d.value)
		}
	}
	if o.ResumeTTL > wire.MaxTTL {
		return optionError("ResumeTTL", "%v is more than a year", o.ResumeTTL)
	}
	for _, n := range []struct {
		field string
		value int64
	}{
		{"MaxMessageSize", o.MaxMessageSize},
		{"SendBuffer.MaxBytes", int64(o.SendBuffer.MaxBytes)}, {"SendBuffer.MaxMessages", int64(o.SendBuffer.MaxMessages)},
	} {
		if n.value < 0 {
			return optionError(n.field, "%d is negative", n.value)
		}
	}
	if o.OpenRate != o.OpenRate {
		return optionError("OpenRate", "is not a number")
	}
	if w := o.SendBuffer.WhenFull; w < holdfast.WhenFullBlock || w > holdfast.WhenFullDropOldest {
		return optionError("SendBuffer.WhenFull", "%d is not one of its values", w)
	}
	for i, p := range o.OriginPatterns {
		if _, err := path.Match(p, ""); err != nil {
			return optionError("OriginPatterns", "element %d, %q: %v", i, p, err)
		}
	}
	seen := map[string]bool{}
	for i, p := range o.Subprotocols {
		switch {
		case !httpguts.ValidHeaderFieldName(p): // both are tokens
			return optionError("Subprotocols", "element %d is not a token (RFC 6455, section 4.1)", i)
		case p == wslink.SessionSubprotocol:
			return optionError("Subprotocols", "element %d: %s is the session protocol's own", i, p)
		case seen[p]:
			return optionError("Subprotocols", "element %d stands there before", i)
		}
		seen[p] = true
	}
	return nil
}

func optionError(field, format string, args ...any) error {
	return &holdfast.OptionError{Field: field, Err: fmt.Errorf(format, args...)}
}

var errNilHandle = &holdfast.OptionError{Field: "handle", Err: errors.New("is nil")}
