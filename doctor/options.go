package doctor

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
)

// The defaults and bounds of Options.
const (
	defaultTimeout = 10 * time.Second
	defaultPings   = 20
	maxPings       = 1000
	minIdle        = time.Second
	maxIdle        = time.Hour
)

// Options say how to connect. Where a field is one of holdfast.Options, it means
// the same and has the same default. The zero value, and nil, mean the defaults.
type Options struct {
	Header                   http.Header
	Host                     string
	Authorize                func(ctx context.Context, r *http.Request, last error) error
	TLSConfig                *tls.Config
	Proxy                    func(*http.Request) (*url.URL, error)
	DialContext              func(ctx context.Context, network, addr string) (net.Conn, error)
	Subprotocols             []string
	Network                  holdfast.Network
	AllowInsecureCredentials bool

	// Resolver looks names up; nil is net.DefaultResolver. Where DialContext is
	// set nothing is known of its look-ups, and step dns is skipped, unless
	// Resolver is set too.
	Resolver *net.Resolver
	// Timeout bounds the attempt to connect, as HandshakeTimeout does, and each
	// other step but idle: 10 s by default.
	Timeout time.Duration
	// Pings is how many are sent: 20 by default, 1,000 at most, none if negative.
	Pings int
	// Idle is how long a silent link is held at most, to find out when something
	// on the way gives it up: from 1 s to 1 h, 0 does not try. It takes as long,
	// and six links.
	Idle time.Duration

	// OnStart gets the name of each step before it begins, OnStep the step when
	// it is done; both are called by Run itself, in order, and Run waits for them.
	OnStart func(name string)
	OnStep  func(Step)
}

// withDefaults returns a copy whose zero values are replaced, or the first thing
// that cannot be right. What holdfast.Options has is checked by Dial itself.
func (o *Options) withDefaults() (*Options, error) {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Pings == 0 {
		c.Pings = defaultPings
	}
	switch {
	case c.Timeout < 0:
		return nil, optionError("Timeout", "%v is negative", c.Timeout)
	case c.Pings > maxPings:
		return nil, optionError("Pings", "%d is more than %d", c.Pings, maxPings)
	case c.Idle != 0 && (c.Idle < minIdle || c.Idle > maxIdle):
		return nil, optionError("Idle", "%v is not from %v to %v", c.Idle, minIdle, maxIdle)
	}
	return &c, nil
}

// validate has Dial judge URL and options, without a dial: a host that is offline
// makes none.
func (o *Options) validate(ctx context.Context, rawURL string) error {
	d := o.dialOptions()
	d.Background, d.Network = true, nowhere{}
	conn, err := holdfast.Dial(ctx, rawURL, d)
	if err != nil {
		return err
	}
	_ = conn.CloseNow()
	return nil
}

// dialOptions are those of a Conn that makes one attempt.
func (o *Options) dialOptions() *holdfast.Options {
	return &holdfast.Options{
		Header: o.Header, Host: o.Host, Authorize: o.Authorize, TLSConfig: o.TLSConfig, Proxy: o.Proxy, DialContext: o.DialContext,
		Subprotocols: o.Subprotocols, Network: o.Network, AllowInsecureCredentials: o.AllowInsecureCredentials,
		HandshakeTimeout: o.Timeout, CloseTimeout: min(o.Timeout, closeTimeout),
		Retry:    holdfast.RetryPolicy{MaxRetries: holdfast.NoRetry},
		Fallback: []holdfast.Transport{fallback.LongPoll(nil)},
	}
}

// nowhere is a Network without a way to anywhere.
type nowhere struct{}

func (nowhere) Check(context.Context, string) holdfast.Reachability { return holdfast.Unreachable }
func (nowhere) Changes(context.Context) <-chan struct{}             { return nil }
