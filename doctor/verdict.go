package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/diagnose"
	"github.com/holdfast-ws/holdfast/transport"
)

// conclude explains what the attempt met, by the table that a Conn goes by.
func (x *exam) conclude() Verdict {
	v := x.judge()
	if v.OK || v.Class == holdfast.ClassTLSTrust && x.warnings["clock"] {
		v.Advice = append(v.Advice, x.advice()...)
	}
	v.Summary = x.secrets.hide(v.Summary)
	for i := range v.Advice {
		v.Advice[i] = x.secrets.hide(v.Advice[i])
	}
	switch {
	case !v.OK:
		v.Status = Fail
		if v.ExitCode == 0 {
			v.ExitCode = ExitCodeOf(v.Class)
		}
	case len(v.Advice) > 0:
		v.Status = Warn
	default:
		v.Status = OK
	}
	return v
}

func (x *exam) judge() Verdict {
	switch {
	case x.ctx.Err() != nil && x.report.Step(StepIdle) == nil: // which is the last, and an addition
		return Verdict{ExitCode: exitNoClass, Summary: "The check was called off before it was done."}
	case x.polling():
		return x.judgePolls()
	}
	failed := x.attempt.failure()
	switch {
	case failed != nil && x.poll != nil && x.poll.err != nil && x.poll.ours():
		return x.refused(x.poll.err)
	case failed != nil:
		return x.explain(failed)
	case x.lost != nil:
		v := Verdict{ExitCode: exitNoClass, StatusCode: 101,
			Summary: "The upgrade was answered, but the WebSocket carries nothing: " + x.lost.Error() + "."}
		switch {
		case x.poll != nil && x.poll.works():
			v.Advice = []string{"long polling works here, so something on the way breaks WebSocket: set Options.Fallback to fallback.LongPoll, and look for a proxy, firewall or virus scanner"}
		case strings.HasPrefix(x.lost.Error(), "no ping"):
			v.Advice = []string{"a proxy may have answered in the server's place, or hold back what is sent; or the server does not answer pings, which RFC 6455 demands (section 5.5.2)"}
		default:
			v.Advice = []string{"look at the server's log for why it ends the link; if it knows nothing of it, something on the way does"}
		}
		return v
	}
	v := Verdict{OK: true, StatusCode: 101, Summary: "WebSocket works" + x.howFast() + "."}
	if inBrowser {
		v.StatusCode = 0
	}
	return v
}

func (x *exam) howFast() string {
	var parts []string
	if m := x.attempt.now(); !m.ended.IsZero() && !m.dialled.IsZero() {
		parts = append(parts, "upgraded "+inWords(m.ended.Sub(m.dialled))+" after TCP")
	}
	if s := x.report.Step(StepPing); s != nil {
		if f, ok := s.Facts.(*PingFacts); ok && f.Received > 0 {
			parts = append(parts, "round trip "+inMillis(f.MedianMS))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

func (x *exam) judgePolls() Verdict {
	switch {
	case x.poll.err != nil:
		return x.refused(x.poll.err)
	case x.poll.lost != nil:
		return Verdict{ExitCode: exitNoClass, StatusCode: 200, Summary: "A session was opened, but polls carry nothing: " + x.poll.lost.Error() + ".",
			Advice: []string{"something on the way lets one request through and holds back others: look for a proxy that buffers, or bounds how long or how many"}}
	}
	return Verdict{OK: true, StatusCode: 200, Summary: "Long polling works: opened in " + inWords(x.poll.opened) + "."}
}

// explain is what a Conn with long polling as its Fallback says where that is
// welcomed, and what a Conn without one says where it is not.
func (x *exam) explain(failed *transport.Error) Verdict {
	e := diagnose.Explain(diagnose.Facts{
		Err: failed, Target: x.url, Now: time.Now(),
		Unreachable: x.network.Check(x.ctx, hostPort(x.next())) == holdfast.Unreachable,
		Welcomed:    x.poll != nil && x.poll.works(), Fallback: x.poll != nil && x.poll.works(),
		Authorize: x.opts.Authorize != nil,
	})
	return x.verdict(e.Class, e.Phase, e.StatusCode, e.Decision, e.Hint)
}

// refused is what a Conn over long polling has said.
func (x *exam) refused(e *holdfast.DialError) Verdict {
	return x.verdict(e.Class, e.Phase, e.StatusCode, e.Decision, e.Hint)
}

// verdict splits a hint into what is so and what to do.
func (x *exam) verdict(class holdfast.Class, phase holdfast.Phase, status int, decision holdfast.Decision, hint string) Verdict {
	cause, cure, found := strings.Cut(hint, ": ")
	v := Verdict{Class: class, Phase: phase, StatusCode: status, Decision: decision, Summary: sentence(cause)}
	if found {
		v.Advice = append(v.Advice, cure)
	}
	if class == holdfast.ClassBlocked && x.poll != nil && x.poll.works() {
		v.Advice = append(v.Advice, "set Options.Fallback to fallback.LongPoll(nil): it works on this path")
	}
	return v
}

func sentence(s string) string {
	if s == "" {
		return "No cause was found."
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// advice is about what works, and is worth a look.
func (x *exam) advice() (list []string) {
	say := func(about, format string, args ...any) {
		if x.warnings[about] {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	say("unverified", "verify the certificate in earnest: without that anybody on the way can read and change what is sent")
	say("expiry", "renew the certificate: it is about to expire")
	say("clock", "set this host's clock, or the server's: certificates and tokens depend on it")
	say("dns", "the name servers fail for one of A and AAAA, which delays each look-up: see to the domain's records")
	say("tcp", "some of the addresses take no connections: mend them, or take them out of DNS; clients lose up to 300 ms on each")
	say("redirect", "use the redirect's target as the URL: it costs a round trip on each connection")
	say("subprotocol", "the server chose no subprotocol: does it know those that are offered?")
	say("loss", "some pings were not answered: look for a link that loses packets, and for pongs that do not repeat the ping's payload")
	say("close", "the server does not answer a close frame in time, so that every Close waits: see whether it reads its links to the end")
	say("pollclose", "the session over polls was not closed in time: does the server's handler return when Receive fails?")
	say("polls", "long polling does not get through on this path, so it would be no fallback here")
	if x.warnings["idle"] {
		if f, ok := x.report.Step(StepIdle).Facts.(*IdleFacts); ok {
			list = append(list, keepaliveAdvice(f))
		}
	}
	return list
}
