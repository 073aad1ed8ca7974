package doctor

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/internal/registry"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// polled is what became of a Conn over long polling.
type polled struct {
	done chan struct{} // closed when the rest is set

	err      *holdfast.DialError // nil if it was welcomed
	cause    *transport.Error    // what the transport saw, nil if it made a link
	lost     error               // why it carried nothing, though it was
	opened   time.Duration
	trip     time.Duration // the best round trip
	closed   time.Duration
	closeErr error
}

// works says that messages can be carried by polls.
func (p *polled) works() bool { return p.err == nil && p.lost == nil }

// ours says that package server itself has refused.
func (p *polled) ours() bool {
	return p.cause != nil && p.cause.Header.Get("Holdfast-Version") == wire.Version
}

// witness is long polling that keeps the error of the first dial that failed.
type witness struct {
	transport.Transport

	mu  sync.Mutex
	err *transport.Error
}

func (w *witness) Dial(ctx context.Context, r *transport.Request) (transport.Link, error) {
	link, err := w.Transport.Dial(ctx, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil { // the attempts after it are called off
		errors.As(err, &w.err)
	}
	return link, err
}

// eager is a Network on which the first dial is made whatever it says.
type eager struct {
	holdfast.Network
	once sync.Once
}

func (e *eager) Check(ctx context.Context, host string) holdfast.Reachability {
	reach := holdfast.ReachUnknown
	first := false
	e.once.Do(func() { first = true })
	if !first {
		reach = e.Network.Check(ctx, host)
	}
	return reach
}

func (*eager) Changes(context.Context) <-chan struct{} { return nil }

// trips are the round trips of one Conn.
type trips struct {
	conn  atomic.Pointer[holdfast.Conn]
	taken chan time.Duration
}

func (w *trips) Event(*registry.Member, any) {}
func (w *trips) Removed(*registry.Member)    {}

func (w *trips) RTT(m *registry.Member, rtt time.Duration) {
	if conn := w.conn.Load(); conn != nil && m.Value == conn {
		select {
		case w.taken <- rtt:
		default:
		}
	}
}

const (
	// pollPing is how long nothing is heard before the ping that shows that polls
	// carry something. Its send is later than the first poll, which is answered
	// first where it has reached another server.
	pollPing = 20 * time.Millisecond
	// pollRetries are for a session that is lost: it takes two to tell that requests
	// reach different servers.
	pollRetries = 3
)

// beginPolls opens a session by polls and closes it, in a goroutine of its own.
func (x *exam) beginPolls() {
	p := &polled{done: make(chan struct{})}
	x.poll = p
	go func() {
		defer close(p.done)
		x.dialPolls(p)
	}()
}

func (x *exam) dialPolls(p *polled) {
	ctx, cancel := context.WithTimeout(x.ctx, 2*x.opts.Timeout)
	defer cancel()
	round := &trips{taken: make(chan time.Duration, 1)}
	defer registry.Watch(round)()
	var mu sync.Mutex
	var failed *holdfast.DialError
	var broken error // why a link ended
	w := &witness{Transport: fallback.LongPoll(nil)}
	o := x.opts.dialOptions()
	o.Session, o.Fallback, o.Network = holdfast.SessionRequire, []holdfast.Transport{w}, &eager{Network: x.network}
	if x.opts.DialContext == nil && x.opts.Resolver != nil {
		o.DialContext = x.dial
	}
	if x.opts.Authorize != nil {
		o.Authorize = x.authorize
	}
	o.OnEvent = func(e holdfast.Event) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case e.Kind == holdfast.EventAttemptFailed && failed == nil:
			errors.As(e.Err, &failed)
			cancel() // one that is offline would wait
		case e.Kind == holdfast.EventDisconnected && broken == nil:
			broken = e.Err
		}
	}
	target := x.web()
	o.Header = x.header
	o.Retry = holdfast.RetryPolicy{MaxRetries: pollRetries, InitialDelay: time.Millisecond, MaxDelay: time.Millisecond}
	o.Keepalive = holdfast.Keepalive{Interval: pollPing, Timeout: x.opts.Timeout}
	start := time.Now()
	conn, err := holdfast.Dial(ctx, target.String(), o)
	p.opened = time.Since(start)
	w.mu.Lock()
	p.cause = w.err
	w.mu.Unlock()
	if err != nil {
		mu.Lock()
		p.err = failed
		mu.Unlock()
		if p.err == nil && !errors.As(err, &p.err) {
			p.err = &holdfast.DialError{Phase: holdfast.PhaseHandshake, Class: holdfast.ClassUnknown, URL: x.report.URL, Transport: "longpoll", Err: err}
		}
		return
	}
	round.conn.Store(conn)
	carries := ctx.Done() // what is not carried is waited for
	select {
	case p.trip = <-round.taken:
		mu.Lock()
		if broken == nil {
			carries = nil
		}
		mu.Unlock()
	case <-conn.Done():
	case <-ctx.Done():
	}
	if carries != nil {
		select {
		case <-conn.Done():
		case <-carries:
		}
		_ = conn.CloseNow()
		<-conn.Done()
		mu.Lock()
		defer mu.Unlock()
		if p.err = failed; p.err == nil && !errors.As(conn.Stats().LastError, &p.err) {
			p.lost = cmp.Or(broken, errors.New("no ping was answered"))
		}
		return
	}
	start = time.Now()
	p.closeErr = conn.Close()
	p.closed = time.Since(start)
	<-conn.Done()
}

// checkLongPoll asks whether polls get through. A server that has answered as a
// plain WebSocket server is not asked for what it does not have.
func (x *exam) checkLongPoll(s *Step) {
	if x.poll == nil {
		if why := x.noPolls(); why != "" {
			s.skip(why)
			return
		}
		x.beginPolls()
	}
	<-x.poll.done // it ends with ctx
	p := x.poll
	f := &LongPollFacts{Works: p.works()}
	s.Facts = f
	if p.works() {
		f.PlainHTTP, f.OpenMS, f.RoundTripMS, f.CloseMS = true, millis(p.opened), millis(p.trip), millis(p.closed)
		s.took(p.opened)
		s.Summary = "works: opened in " + inWords(p.opened) + ", round trip " + inWords(p.trip) + ", closed in " + inWords(p.closed)
		if p.closeErr != nil {
			s.warn()
			x.warnings["pollclose"] = true
			s.Summary = "opened in " + inWords(p.opened) + ", and not closed in good order"
			s.detail("%s", x.secrets.show(p.closeErr.Error()))
		}
		return
	}
	if p.lost != nil {
		f.PlainHTTP = true
		s.fail("a session was opened, and carries nothing: %v", p.lost)
		return
	}
	answered := p.err.StatusCode != 0 && p.err.Phase == holdfast.PhaseHandshake
	f.PlainHTTP = answered
	if answered {
		f.StatusCode = p.err.StatusCode
	}
	switch {
	case p.err.Class == holdfast.ClassNotSticky:
		s.fail("requests reach different servers")
	case answered && p.ours():
		s.fail("package server answers: %s", statusLine(p.err.StatusCode))
	case answered && x.attempt.failure() != nil && x.attempt.failure().StatusCode == p.err.StatusCode:
		s.fail("no: %s as well; plain HTTP itself gets through", statusLine(p.err.StatusCode))
	case answered:
		s.fail("no: %s, which is not of package server; plain HTTP itself gets through", statusLine(p.err.StatusCode))
	default:
		s.fail("no: %s", x.brief(p.err.Err))
	}
	if p.cause != nil && answered {
		for _, sign := range x.secrets.intermediaries(p.cause.Header) {
			s.detail("answered by or through %s", sign)
		}
		if server := p.cause.Header.Get("Server"); server != "" {
			s.detail("Server: %s", x.secrets.show(server))
		}
	}
	if !x.polling() && s.Status == Fail && !p.ours() {
		s.Status = Warn // it is one way of two, and few servers have it
		x.warnings["polls"] = x.socket != nil
	}
}

// noPolls says why polls are not tried, "" if they are.
func (x *exam) noPolls() string {
	failed := x.attempt.failure()
	switch {
	case inBrowser:
		return "not tried in a browser"
	case failed == nil && x.attempt.info != nil && x.attempt.info.Session:
		return ""
	case failed == nil && x.lost == nil:
		return "the server does not speak the session protocol, which polls need"
	case failed == nil, failed.Phase == transport.PhaseHandshake && failed.StatusCode != http.StatusTooManyRequests:
		return ""
	case failed.Phase == transport.PhaseProxy && !x.attempt.now().dialled.IsZero():
		return ""
	}
	return "not reached"
}
