package holdfast

import (
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/holdfast-ws/holdfast/internal/diagnose"
	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/transport"
)

// explain turns the facts of a failed attempt into a DialError. unreachable is
// what the route check said after it.
func explain(err error, ep *endpoint, o *Options, attempt int, unreachable bool) *DialError {
	v := diagnose.Explain(diagnose.Facts{
		Err: err, Target: ep.url, Unreachable: unreachable, Stable: ep.stable,
		Fallback: len(o.Fallback) > 0, Authorize: o.Authorize != nil, Reauthorized: ep.reauthorized, Now: time.Now(),
	})
	e := &DialError{
		Phase: v.Phase, Class: v.Class, StatusCode: v.StatusCode, RetryAfter: v.RetryAfter, Decision: v.Decision,
		Hint: v.Hint, URL: ep.name, Transport: ep.transport.Name(), Attempt: attempt, Err: redact.Error(err), onChange: v.OnChange,
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
