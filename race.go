package holdfast

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/verdict"
	"github.com/holdfast-ws/holdfast/transport"
)

// When the fallback starts beside a WebSocket that has not been welcomed: this
// long after the way to the server was open, but within the bounds, counted
// from the start. The way there has to be made once more, so that much is
// counted off, and the fallback asks at 2·(TCP + TLS) + 250 ms.
const (
	raceAfter = 250 * time.Millisecond
	raceMin   = 300 * time.Millisecond
	raceMax   = 1500 * time.Millisecond
	// raceRemembered is when a WebSocket starts that is known to be blocked, if
	// the fallback has not been welcomed by then.
	raceRemembered = time.Second
)

var (
	errStillTrying = errors.New("WebSocket has not been welcomed so far")
	errRemembered  = errors.New("WebSocket failed on this path before, so the fallback came first")
)

// raceError is an attempt in which WebSocket and a fallback have failed. Where there
// were more fallbacks, websocket is the same of those before.
type raceError struct {
	websocket, fallback error
	transport           string // the fallback's
}

func (e *raceError) Error() string {
	return fmt.Sprintf("%v; the fallback: %v", e.websocket, e.fallback)
}

func (e *raceError) Unwrap() []error { return []error{e.websocket, e.fallback} }

// race is one attempt over WebSocket and, where it has to be, the fallback.
type race struct {
	a         *attempt
	websocket *opening // nil before it has begun, like the next
	fallback  *opening
	blocked   error // why WebSocket did not win, once it has failed
}

// run returns the winner. If that is the fallback, WebSocket may still be under
// way.
func (r *race) run(ep *endpoint, blocked bool) (*candidate, error) {
	a := r.a
	websocketTimer, fallbackTimer := time.NewTimer(0), time.NewTimer(raceMax)
	defer websocketTimer.Stop()
	defer fallbackTimer.Stop()
	if blocked {
		websocketTimer.Reset(raceRemembered)
		fallbackTimer.Reset(0)
	}
	started := time.Now()
	var wayOpen, websocketOver, fallbackOver <-chan struct{}
	var failed []raceError // the fallbacks' failures
	both := func() error {
		err := r.blocked
		for _, f := range failed {
			err = &raceError{err, f.fallback, f.transport}
		}
		return err
	}
	fallbacks := a.conn.opts.Fallback // those to try
	for {
		select {
		case <-websocketTimer.C:
			if r.websocket == nil {
				r.websocket = a.open(ep, ep.transport)
				wayOpen, websocketOver = r.websocket.connected, r.websocket.done
			}
		case <-wayOpen:
			wayOpen = nil
			if way := time.Since(started); !blocked && r.fallback == nil {
				fallbackTimer.Reset(min(max(2*way+raceAfter, raceMin), raceMax) - 2*way)
			}
		case <-fallbackTimer.C:
			if r.fallback == nil {
				r.fallback = a.open(ep, fallbacks[0])
				fallbackOver, fallbacks = r.fallback.done, fallbacks[1:]
			}
		case <-websocketOver:
			websocketOver, wayOpen = nil, nil
			r.blocked = r.websocket.err
			switch {
			case r.blocked == nil, final(r.blocked):
				r.fallback.end()
				return r.websocket.candidate, r.blocked
			case r.fallback != nil && fallbackOver == nil: // all have failed
				return nil, both()
			}
			fallbackTimer.Reset(0)
		case <-fallbackOver:
			fallbackOver = nil
			err := r.fallback.err
			switch {
			case err == nil:
				return r.fallback.candidate, nil
			case final(err):
				r.websocket.end()
				return nil, err
			}
			failed = append(failed, raceError{fallback: err, transport: r.fallback.transport})
			switch {
			case len(fallbacks) > 0: // the next one in turn
				r.fallback = a.open(ep, fallbacks[0])
				fallbackOver, fallbacks = r.fallback.done, fallbacks[1:]
			case r.blocked != nil:
				return nil, both()
			default:
				websocketTimer.Reset(0)
			}
		case <-a.ctx.Done():
			r.websocket.end()
			r.fallback.end()
			return nil, a.ctx.Err()
		}
	}
}

// rest is WebSocket where it is still under way beside the fallback.
func (r *race) rest() *opening {
	if r.blocked != nil {
		return nil
	}
	return r.websocket
}

// over is closed when an opening has ended; never where there is none.
func (p *opening) over() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

// final: the server itself has spoken, so another transport would hear the
// same.
func final(err error) bool {
	var refused *pump.Rejected
	return errors.As(err, &refused)
}

// path is what a verdict is remembered for: the way from here to an endpoint.
func (c *Conn) path(ep *endpoint, network Network) verdict.Key {
	key := verdict.Key{Origin: ep.url.Scheme + "://" + hostPort(ep.url)}
	if p := c.opts.proxyFor(ep); p != nil {
		key.Proxy = p.Host
	}
	if e, ok := network.(interface {
		Egress(host string) (egress, prefix string)
	}); ok {
		key.Egress, key.Prefix = e.Egress(c.opts.target(ep))
	}
	return key
}

// strike takes down that WebSocket failed where the fallback was welcomed. What
// may as well have been the moment, such as a server that is just starting, is
// no evidence, nor is a server that has spoken.
func strike(key verdict.Key, err error, class Class) {
	var facts *transport.Error
	if errors.As(err, &facts) && facts.StatusCode == http.StatusUpgradeRequired && facts.Header.Get("Holdfast-Diag") == "upgrade-stripped" {
		verdict.Process().Hard(key, time.Now())
		return
	}
	if final(err) || errors.Is(err, errOtherSession) { // it reached a server
		return
	}
	if evident(class) && !errors.Is(err, context.Canceled) {
		verdict.Process().Soft(key, time.Now())
	}
}

// evident: what fails in this way may be blocked.
func evident(class Class) bool {
	switch class {
	case ClassOffline, ClassLocalPolicy, ClassUnreachable, ClassServerDown, ClassName, ClassDNS, ClassProxyDown, ClassCallback:
		return false
	}
	return true
}

// proxyFor is the proxy on the way to an endpoint, nil for none.
func (o *Options) proxyFor(ep *endpoint) *url.URL {
	u := *ep.url
	if u.Scheme == "ws" || u.Scheme == "wss" {
		u.Scheme = "http" + u.Scheme[2:]
	}
	proxy, err := o.Proxy(&http.Request{Method: http.MethodGet, URL: &u, Host: u.Host, Header: http.Header{}})
	if err != nil {
		return nil
	}
	return proxy
}

// target is the host that the network must reach: the proxy's where one is used.
func (o *Options) target(ep *endpoint) string {
	if p := o.proxyFor(ep); p != nil {
		return hostPort(p)
	}
	return hostPort(ep.url)
}
