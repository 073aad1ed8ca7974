package fallback

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

var (
	errNoSession = errors.New("there is no session to poll: the server has refused it, or has not answered with one")
	errUnoffered = errors.New("the server chose a subprotocol that was not offered")
)

// longLink implements transport.Link. It starts no goroutine; those of net/http
// end with its connections.
type longLink struct {
	session transport.Session
	url     *url.URL
	grace   time.Duration // how late an answer may be
	client  *client
	info    *transport.Info
	pulse   pulse
	life    context.Context
	cancel  context.CancelCauseFunc

	credential string        // Holdfast-Session; "" where there is no session
	attachment atomic.Uint64 // the link's, 0 before it is known

	polling polling // Read's
	sending sending // Write's
}

func newLongLink(r *transport.Request, target *url.URL, hang time.Duration) *longLink {
	l := &longLink{session: r.Session, url: target, grace: r.WriteTimeout}
	if l.grace <= 0 {
		l.grace = longGrace
	}
	l.pulse.opened = time.Now()
	// Not every byte is of an answer: HTTP/2 has pings of its own, which a proxy answers.
	l.client = newClient(forPosts(r), longIdle, func() {})
	if target.Scheme == "http" { // a poll and a send are under way at once; over HTTP/2 they share a connection
		l.client.spare = &spare{}
	}
	l.life, l.cancel = context.WithCancelCause(context.Background())
	l.polling.hang = hang
	l.sending.begin()
	return l
}

// open sends HELLO. The answer is the first batch to read.
func (l *longLink) open(ctx context.Context, hello []byte, secret string, subprotocols []string) error {
	q := &query{op: "open", body: hello}
	if len(subprotocols) > 0 {
		q.set(headerSubprotocol, strings.Join(subprotocols, ", "))
	}
	res := l.post(ctx, q, nil)
	if res.err == nil && res.resp.Header.Get(headerSubprotocol) != "" && !slices.Contains(subprotocols, res.resp.Header.Get(headerSubprotocol)) {
		res.err = res.x.fail(ctx, errUnoffered)
	}
	if res.err != nil {
		var te *transport.Error
		if !errors.As(res.err, &te) {
			return res.x.fail(ctx, res.err)
		}
		return res.err
	}
	l.polling.first = res.batch
	if sid := sidOf(res.batch); sid != "" {
		l.credential = sid + "." + secret
	}
	resp := *res.resp
	resp.Body, resp.Request = http.NoBody, nil // it has the secret
	l.info = &transport.Info{Response: &resp, Subprotocol: resp.Header.Get(headerSubprotocol), Session: true, Answered: true}
	if e := l.client.ends.Load(); e != nil {
		l.info.LocalAddr, l.info.RemoteAddr = e.local, e.remote
	}
	return nil
}

// Info tells how the link was made.
func (l *longLink) Info() *transport.Info { return l.info }

// LastRead is when bytes of any answer last arrived.
func (l *longLink) LastRead() time.Time { return l.pulse.last() }

// Ping is not possible: the session has pings of its own.
func (l *longLink) Ping(uint64) error { return errors.ErrUnsupported }

// Close tells the server that the session is over, whatever is still to be
// said, and frees the link. The protocol has no place for code and reason here:
// they are in the frame that ended the session in good order. nil means that
// the server has answered.
func (l *longLink) Close(ctx context.Context, _ uint16, _ string) error {
	defer l.Abort()
	switch {
	case l.life.Err() != nil:
		return net.ErrClosed
	case l.credential == "":
		return errNoSession
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.life, func() { cancel(net.ErrClosed) })()
	q := &query{op: "close", silence: l.grace}
	q.set(headerIdempotency, l.sending.nextKey("close"))
	res := l.post(ctx, q, nil)
	switch {
	case res.kind == answered:
		return nil
	case l.life.Err() != nil:
		return net.ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case res.kind == cut:
		return nil
	}
	return res.err
}

// Abort frees the link at once. Requests under way end, and Read and Write with
// them.
func (l *longLink) Abort() {
	l.cancel(net.ErrClosed)
	l.client.end()
}

// ended is the error of a call that ends with err. Once the link is freed
// nothing of it is running any more.
func (l *longLink) ended(err error) error {
	if l.life.Err() == nil {
		return err
	}
	l.client.end()
	l.client.join()
	return net.ErrClosed
}
