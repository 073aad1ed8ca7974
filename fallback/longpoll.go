package fallback

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-ws/holdfast/internal/credential"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	longHang    = 20 * time.Second // LongPollOptions.Hang
	longMinHang = time.Second
	longMaxHang = time.Minute
	// longIdle is how long a connection without a request is kept.
	longIdle = 90 * time.Second
)

// LongPollOptions says how a server is polled. The zero value is good.
type LongPollOptions struct {
	// URL is where to poll: an http, https, ws or wss URL without user-info, or
	// a reference relative to the endpoint's own URL. Empty is the endpoint's
	// own URL, with http or https for ws or wss; that is where a server of
	// package server answers polls. What Options.Header has and
	// Options.Authorize sets goes there as it does to the endpoint, though it
	// may be of another origin.
	URL string
	// Hang is how long the server may hold a poll while it has nothing to say.
	// A proxy on the way that does not wait as long halves it, down to 1 s, for
	// the rest of the link. 0 means 20 s; less than 1 s means 1 s, more than
	// 1 min means 1 min.
	Hang time.Duration
}

// LongPoll returns the transport "longpoll", the session protocol over plain
// HTTP requests (docs/protocol.md), for networks that let no WebSocket through.
// The server has to speak it, as package server does; nothing is lost or doubled
// when a response is. nil means the zero LongPollOptions.
//
// A link has one poll and at most one send under way, over connections of its
// own that end with it: two or three of HTTP/1.1, or one of HTTP/2. Redirects
// are not followed. A poll or send that fails is repeated once at once; when that
// fails too, the link ends. A body that a proxy on the way finds too large (413)
// is sent in parts, of 4 KiB at least.
//
// The server answers a poll as soon as it has something to say. What it has to say
// next waits for the next poll, a round trip later.
func LongPoll(opts *LongPollOptions) transport.Transport {
	var p longPoll
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.Hang == 0 {
		p.opts.Hang = longHang
	}
	return p
}

type longPoll struct{ opts LongPollOptions }

// Name is "longpoll".
func (longPoll) Name() string { return "longpoll" }

// Dial makes a link by opening, or finding, the session. The server's answer is
// what Read returns first.
func (p longPoll) Dial(ctx context.Context, r *transport.Request) (transport.Link, error) {
	target, err := p.target(r)
	if err != nil {
		return nil, &transport.Error{URL: target, Err: backoff.Permanent(err)}
	}
	if r.Session == nil {
		return nil, &transport.Error{URL: target, Err: backoff.Permanent(errors.New("long polling needs the session: Options.Session must not be SessionOff"))}
	}
	hello := r.Session.Hello()
	secret, err := secretOf(hello)
	if err != nil {
		return nil, &transport.Error{URL: target, Err: err}
	}
	l := newLongLink(r, target, min(max(p.opts.Hang, longMinHang), longMaxHang))
	if err := l.open(ctx, hello, secret, r.Subprotocols); err != nil {
		l.Abort()
		l.client.join()
		return nil, err
	}
	return l, nil
}

// target is the URL to post to, or why there is none.
func (p longPoll) target(r *transport.Request) (*url.URL, error) {
	if r.URL == nil {
		return nil, errors.New("no URL to dial")
	}
	base := plainHTTP(bare(r.URL))
	if p.opts.Hang < 0 {
		return base, errors.New("LongPollOptions.Hang is negative")
	}
	if p.opts.URL == "" {
		return base, nil
	}
	u, err := base.Parse(p.opts.URL)
	switch {
	case err != nil:
		return base, errors.New("LongPollOptions.URL does not parse") // the error would quote it
	case u.User != nil:
		return base, errors.New("LongPollOptions.URL has user-info; set the Authorization header")
	}
	u = plainHTTP(bare(u))
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return base, errors.New("LongPollOptions.URL is not an http, https, ws or wss URL")
	}
	if u.Scheme == "http" && !r.AllowInsecureCredentials && !credential.IsLoopback(u) {
		for _, key := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
			if has(r.Header, key) {
				return u, fmt.Errorf("LongPollOptions.URL: %w: %s", transport.ErrInsecureCredentials, key)
			}
		}
	}
	return u, nil
}

// plainHTTP gives u, which it changes, the scheme http for ws and https for wss.
func plainHTTP(u *url.URL) *url.URL {
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	return u
}

// secretOf is the secret within a HELLO, as it stands in Holdfast-Session.
func secretOf(hello []byte) (string, error) {
	f, _, err := wire.Parse(hello)
	if err != nil {
		return "", err
	}
	p, err := wire.ParseHello(f.Payload)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(p.Secret[:]), nil
}

// sidOf is the session's id within a WELCOME; "" where the answer is another.
func sidOf(batch []byte) string {
	f, _, err := wire.Parse(batch)
	if err != nil || f.Type != wire.Welcome {
		return ""
	}
	p, err := wire.ParseWelcome(f.Payload)
	if err != nil || strings.ContainsFunc(p.SID, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "" // it stands in a header
	}
	return p.SID
}
