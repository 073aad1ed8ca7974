package holdfast

import (
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-ws/holdfast/internal/diagnose"
	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/transport"
)

// circumstances are what is known of a failed attempt beside its error.
type circumstances struct {
	transport   string
	attempt     int
	unreachable bool // the route check after it found no way
	welcomed    bool // the fallback was welcomed in the same attempt
}

// explain turns the facts of a failed attempt into a DialError.
func explain(err error, ep *endpoint, o *Options, with circumstances) *DialError {
	var both *raceError
	if errors.As(err, &both) {
		return explainBoth(both, ep, o, with)
	}
	v := diagnose.Explain(diagnose.Facts{
		Err: err, Target: ep.url, Unreachable: with.unreachable, Stable: ep.stable,
		Fallback: len(o.Fallback) > 0, Welcomed: with.welcomed, SessionRequired: o.Session == SessionRequire,
		Authorize: o.Authorize != nil, Reauthorized: ep.reauthorized, Now: time.Now(),
	})
	e := &DialError{
		Phase: v.Phase, Class: v.Class, StatusCode: v.StatusCode, RetryAfter: v.RetryAfter, Decision: v.Decision,
		Hint: v.Hint, URL: ep.name, Transport: with.transport, Attempt: with.attempt, Err: redact.Error(err), onChange: v.OnChange,
	}
	var facts *transport.Error
	if errors.As(err, &facts) {
		e.Err = redact.Error(facts.Err)
	}
	var lost *CloseError
	if v.Phase == PhaseOnConnect && v.Decision != DecisionStop && errors.As(err, &lost) {
		e.Decision = lost.decision(ep.stable)
	}
	return e
}

// explainBoth explains an attempt in which the fallback failed too. It ends the
// Conn only if both would. The server's own word, which only the fallback may
// have got through, says more than what stands in its way.
func explainBoth(both *raceError, ep *endpoint, o *Options, with circumstances) *DialError {
	e := explain(both.websocket, ep, o, with)
	with.transport = both.transport
	f := explain(both.fallback, ep, o, with)
	decision, floor := min(e.Decision, f.Decision), max(e.RetryAfter, f.RetryAfter)
	var facts *transport.Error
	if errors.As(both.fallback, &facts) && facts.Header.Get("Holdfast-Version") != "" {
		e, f = f, e
	}
	if f.Class != e.Class {
		e.Hint += "; " + f.Transport + " failed as well: " + f.Class.String()
	}
	e.Decision, e.RetryAfter, e.onChange = decision, floor, e.onChange || f.onChange
	return e
}

// finished says that the peer closed with 1000: it wants no further link.
func finished(err error) bool {
	var lost *CloseError
	return errors.As(err, &lost) && lost.Remote && lost.Code == StatusNormalClosure
}

// permanent says that a callback wants no further attempt.
func permanent(err error) bool {
	var p *backoff.PermanentError
	return errors.As(err, &p)
}
