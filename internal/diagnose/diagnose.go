// Package diagnose turns the facts of a failed attempt into a class, a
// decision and a hint for a person. One table decides (see table.go); it reads
// error types, errno values and the answer, never the text of a message.
package diagnose

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast/transport"
)

// Facts is all that is known of a failed attempt.
type Facts struct {
	// Err is the failure: a *transport.Error, or any error.
	Err error
	// Target is the endpoint as it was asked for: ws, wss, http or https.
	Target *url.URL
	// Unreachable says that the route check after the failure found no way
	// from this host to the target, or to the proxy where one is used.
	Unreachable bool
	// Stable says that this endpoint has held a stable link before.
	Stable bool
	// Fallback says that another transport is there to fall back to.
	Fallback bool
	// Welcomed says that the fallback was welcomed by the server in the same
	// attempt: plain HTTP works.
	Welcomed bool
	// SessionRequired says that a server without sessions is of no use.
	SessionRequired bool
	// Authorize says that Options.Authorize is set.
	Authorize bool
	// Reauthorized says that it has been asked to renew the credentials since
	// the last stable link.
	Reauthorized bool
	// Now is the time of the failure, for the dates in a Retry-After or a certificate.
	Now time.Time
}

// Verdict is what the facts mean.
type Verdict struct {
	// Class is the kind of cause, Phase how far the attempt came.
	Class transport.Class
	Phase transport.Phase
	// Decision is what follows.
	Decision transport.Decision
	// StatusCode is the HTTP status of the answer, 0 if there was none.
	StatusCode int
	// RetryAfter is the wait that the answer asked for, at most
	// MaxRetryAfter; 0 if it asked for none, or if no retry follows.
	RetryAfter time.Duration
	// Hint tells a person what to look at: one sentence in lower case without
	// final period, printable, at most 400 bytes, without secrets.
	Hint string
	// OnChange says that a change of the network is reason to try at once.
	OnChange bool
}

// Explain says what a failed attempt means. It never fails: what no row of
// the table knows is ClassUnknown and retried.
func Explain(f Facts) Verdict {
	x := newFailure(f)
	r := x.row()
	v := Verdict{
		Class:      r.class,
		Phase:      x.phase,
		Decision:   r.decision,
		StatusCode: x.status,
		Hint:       clean(r.hint(x), maxHint),
		OnChange:   r.decision != stop && inTheWay(r.class),
	}
	if x.status >= 300 && (v.Decision == retry || v.Decision == slowly) {
		v.RetryAfter = RetryAfter(x.header.Get("Retry-After"), x.serverTime())
	}
	return v
}

// inTheWay says whether a cause of this class lies between this host and the
// server, so that another network may be free of it.
func inTheWay(c transport.Class) bool {
	switch c {
	case transport.ClassOffline, transport.ClassLocalPolicy, transport.ClassUnreachable, transport.ClassTimeout,
		transport.ClassName, transport.ClassDNS, transport.ClassTLSTrust, transport.ClassBlocked,
		transport.ClassIntercepted, transport.ClassProxyDown:
		return true
	}
	return false
}

// failure is Facts with what every row asks for already taken out.
type failure struct {
	Facts
	phase   transport.Phase
	status  int
	header  http.Header
	asked   *url.URL // the last one asked, after redirects; nil if unknown
	proxied bool
}

func newFailure(f Facts) *failure {
	x := &failure{Facts: f, asked: f.Target}
	if te, ok := as[*transport.Error](f.Err); ok && te != nil {
		x.phase, x.status, x.header, x.proxied = te.Phase, te.StatusCode, te.Header, te.Proxied
		if te.URL != nil {
			x.asked = te.URL
		}
	}
	if x.phase == transport.PhaseNone {
		x.phase = x.guessPhase()
	}
	return x
}

// guessPhase is for errors that do not say how far they came.
func (x *failure) guessPhase() transport.Phase {
	op, _ := as[*net.OpError](x.Err)
	switch {
	case x.status != 0:
		return transport.PhaseHandshake
	case isDNS(x):
		return transport.PhaseResolve
	case op != nil && (op.Op == "proxyconnect" || strings.HasPrefix(op.Op, "socks")):
		return transport.PhaseProxy
	case untrusted(x) || notTLS(x) || schemeMismatch(x) || alerted(x):
		return transport.PhaseTLS
	case op != nil && op.Op == "dial":
		return transport.PhaseConnect
	}
	return transport.PhaseNone
}

// row finds the first row that matches; the last one matches everything.
func (x *failure) row() *row {
	for i := range table {
		if table[i].when(x) {
			return &table[i]
		}
	}
	return &table[len(table)-1]
}

// serverTime is the answer's own time where it gives one, so that a date in
// Retry-After is right even where this host's clock is not.
func (x *failure) serverTime() time.Time {
	if t, err := http.ParseTime(x.header.Get("Date")); err == nil {
		return t
	}
	return x.Now
}

// as is errors.As with the target returned.
func as[T error](err error) (T, bool) {
	var target T
	ok := errors.As(err, &target)
	return target, ok
}
