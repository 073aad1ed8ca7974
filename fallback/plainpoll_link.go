package fallback

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

// plainLink implements transport.Link. It has one goroutine, for the first GET,
// which Dial or Read joins.
type plainLink struct {
	opts                PlainPollOptions
	r                   *transport.Request
	receiveURL, sendURL *url.URL
	receive, send       *client
	info                *transport.Info
	pulse               pulse
	ctx                 context.Context // the link's life
	cancel              context.CancelCauseFunc

	first     chan *answer // the first GET's, once
	receiving receiving    // Read's
	writeErr  error        // Write's: the first, sticky
}

func newPlainLink(opts PlainPollOptions, r *transport.Request, receive, send *url.URL) *plainLink {
	l := &plainLink{opts: opts, r: r, receiveURL: receive, sendURL: send, first: make(chan *answer, 1)}
	l.pulse.opened = time.Now()
	l.receive = newClient(r, plainReceiveIdle, l.pulse.beat)
	l.send = newClient(r, plainSendIdle, l.pulse.beat)
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	return l
}

// open begins the first GET and waits until it is answered, or held: then there
// is no answer yet. ctx bounds it until open returns.
func (l *plainLink) open(ctx context.Context) (*answer, error) {
	written := make(chan struct{}, 1)
	go func() {
		l.first <- l.get(0, func() {
			select {
			case written <- struct{}{}:
			default:
			}
		})
	}()
	held := time.NewTimer(time.Hour)
	held.Stop()
	defer held.Stop()
	for {
		select {
		case <-ctx.Done():
			l.cancel(ctx.Err())
			a := <-l.first
			a.discard()
			if a.err != nil {
				return nil, a.err
			}
			return nil, a.x.fail(ctx, ctx.Err())
		case a := <-l.first:
			if a.err != nil {
				return nil, a.err
			}
			l.first <- a
			return a, nil
		case <-written:
			wait := plainOpen
			if deadline, ok := ctx.Deadline(); ok {
				wait = min(wait, time.Until(deadline)/2)
			}
			held.Reset(wait)
		case <-held.C:
			return nil, nil
		}
	}
}

// describe is what Info tells; a is nil where the first GET is held.
func (l *plainLink) describe(a *answer) *transport.Info {
	info := &transport.Info{Answered: true}
	if a != nil {
		resp := *a.resp
		resp.Body = http.NoBody
		info.Response = &resp
	}
	if e := l.receive.ends.Load(); e != nil {
		info.LocalAddr, info.RemoteAddr = e.local, e.remote
	}
	return info
}

// Info tells how the link was made.
func (l *plainLink) Info() *transport.Info { return l.info }

// LastRead is when bytes last arrived on one of the connections.
func (l *plainLink) LastRead() time.Time { return l.pulse.last() }

// Ping is not possible: no answer proves that anything was read.
func (l *plainLink) Ping(uint64) error { return errors.ErrUnsupported }

// Close frees the link. There is no word to say, and all that was written has
// been answered.
func (l *plainLink) Close(context.Context, uint16, string) error {
	l.Abort()
	return nil
}

// Abort frees the link at once. A GET or POST under way ends, and Read and Write
// with it.
func (l *plainLink) Abort() {
	l.cancel(net.ErrClosed)
	l.receive.end()
	l.send.end()
}

// pulse knows when bytes last arrived.
type pulse struct {
	opened time.Time
	since  atomic.Int64 // after opened
}

func (p *pulse) beat() { p.since.Store(int64(time.Since(p.opened))) }

func (p *pulse) last() time.Time { return p.opened.Add(time.Duration(p.since.Load())) }
