package fallback

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-ws/holdfast/internal/credential"
	"github.com/holdfast-ws/holdfast/transport"
)

const (
	plainInterval = 5 * time.Second
	// plainSilence is how long a server may hold a GET, and how long the body of
	// an answer may stand still.
	plainSilence = 2 * time.Minute
	// plainOpen is how long Dial waits for the answer to a GET that is out.
	plainOpen = 5 * time.Second
	// Connections for GET are kept for the next one. A POST over a connection that the
	// server closes at that moment has an unknown fate, and must not be
	// repeated by itself, so those are kept for bursts alone.
	plainReceiveIdle = 90 * time.Second
	plainSendIdle    = 3 * time.Second
)

// PlainPollOptions says how an endpoint that knows nothing of Holdfast is polled.
type PlainPollOptions struct {
	// ReceiveURL is asked with GET, SendURL is sent to with POST: http or https
	// URLs without user-info, or references relative to the endpoint's own URL. An
	// empty ReceiveURL is the endpoint's own URL, with http or https for ws or wss;
	// an empty SendURL is ReceiveURL. What Options.Header has and
	// Options.Authorize sets goes to them as it does to the endpoint, though
	// they may be of another origin.
	ReceiveURL, SendURL string
	// Interval is the wait between an answer and the next GET; 0 means 5 s. A GET
	// that the server has held is followed by the next at once: one that it
	// took a second to answer, or a fifth of Interval if that is more. So a
	// server that is merely slow is not asked much more often for it. For a
	// server that holds each GET until it has a message, a short Interval
	// lets messages that lie in wait follow one another faster.
	Interval time.Duration
	// Split takes a body that is a JSON array apart: each element is a message,
	// as the JSON that it is. Any other body stays one message. Text messages
	// are sent as application/json then.
	Split bool
	// Type is that of the messages received, transport.Text (which 0 means too)
	// or transport.Binary.
	Type transport.MessageType
}

// PlainPoll returns the transport "plainpoll", for any endpoint that gives
// messages to GET and takes them by POST. It is the last resort: it has no
// session, so messages may be lost whenever a link ends, which Message.Epoch
// shows, and on a fresh link a server may tell again what it has told before.
//
// An answer of status 200 (or any other 2xx) is a message, or several with
// Split; one without a body is none, and neither is 304 Not Modified. The ETag and
// Last-Modified of the last answer are sent with the next GET (RFC 9110, section 13).
// Redirects are followed within the origin, for GET alone, and in a browser not at
// all. Any other answer, and an HTML page, which is more likely somebody else's,
// ends the link.
//
// A link is made when the first GET is answered, or when the server has held it for
// 5 s or half of the time that is left to the handshake: a server that holds
// is not known from one that hangs. One that holds a GET for more than 2 min is
// taken for the latter, and the link ends.
//
// Each message is a POST with a Content-Type of text/plain; charset=utf-8 or
// application/octet-stream, unless Options.Header has one, and has arrived when
// a 2xx answers it. Options.WriteTimeout bounds how long a POST may stand still
// and how long its answer may take, and to the latter adds a second for every 64 KiB
// up to 4 MiB. Another answer ends the link. There are no pings, and no close
// frame is sent.
func PlainPoll(opts PlainPollOptions) transport.Transport {
	if opts.Interval == 0 {
		opts.Interval = plainInterval
	}
	if opts.Type == 0 {
		opts.Type = transport.Text
	}
	return plainPoll{opts}
}

type plainPoll struct{ opts PlainPollOptions }

func (plainPoll) Name() string { return "plainpoll" }

// Dial makes a link with a first GET.
func (p plainPoll) Dial(ctx context.Context, r *transport.Request) (transport.Link, error) {
	receive, send, err := p.targets(r)
	if err != nil {
		return nil, &transport.Error{URL: receive, Err: err}
	}
	l := newPlainLink(p.opts, r, receive, send)
	a, err := l.open(ctx)
	if err != nil {
		l.Abort()
		l.receive.join()
		return nil, err
	}
	l.info = l.describe(a)
	return l, nil
}

// targets are the URLs to ask and to send to, or why there are none.
func (p plainPoll) targets(r *transport.Request) (receive, send *url.URL, err error) {
	if r.URL == nil {
		return nil, nil, backoff.Permanent(errors.New("no URL to dial"))
	}
	base := bare(r.URL)
	base.Scheme = strings.Replace(base.Scheme, "ws", "http", 1)
	if p.opts.Interval < 0 {
		return base, nil, backoff.Permanent(errors.New("PlainPollOptions.Interval is negative"))
	}
	if t := p.opts.Type; t != transport.Text && t != transport.Binary {
		return base, nil, backoff.Permanent(fmt.Errorf("PlainPollOptions.Type is %v", t))
	}
	if receive, err = resolve(r, "ReceiveURL", p.opts.ReceiveURL, base); err != nil {
		return base, nil, err
	}
	send, err = resolve(r, "SendURL", p.opts.SendURL, receive)
	return receive, send, err
}

// resolve is a URL of the options; standing in for an empty one is base.
func resolve(r *transport.Request, name, raw string, base *url.URL) (*url.URL, error) {
	u, err := base.Parse(raw)
	switch {
	case raw == "":
		u = base
	case err != nil:
		return nil, backoff.Permanent(fmt.Errorf("PlainPollOptions.%s does not parse", name)) // the error would quote it
	case u.User != nil:
		return nil, backoff.Permanent(fmt.Errorf("PlainPollOptions.%s has user-info; set the Authorization header", name))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, backoff.Permanent(fmt.Errorf("PlainPollOptions.%s: not an http or https URL", name))
	}
	if u.Scheme == "http" && !r.AllowInsecureCredentials && !credential.IsLoopback(u) {
		for _, key := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
			if has(r.Header, key) {
				return nil, fmt.Errorf("PlainPollOptions.%s: %w: %s", name, transport.ErrInsecureCredentials, key)
			}
		}
	}
	return bare(u), nil
}
