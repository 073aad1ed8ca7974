package doctor

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/netwatch"
	"github.com/holdfast-ws/holdfast/internal/redact"
)

// inBrowser: the platform shows nothing of the way to the server, only whether
// the link comes about.
const inBrowser = runtime.GOOS == "js"

const notInBrowser = "a browser does not show it"

func optionError(field, format string, args ...any) error {
	return &holdfast.OptionError{Field: field, Err: fmt.Errorf(format, args...)}
}

// Run checks the way to rawURL, a ws, wss, http or https URL. The error is a
// *holdfast.OptionError for an argument or option that cannot be right, and then
// nothing was tried; whatever else is wrong is in the Report. When ctx ends, the
// Report has what was found until then. Nothing is left running.
func Run(ctx context.Context, rawURL string, opts *Options) (*Report, error) {
	if ctx == nil {
		return nil, optionError("ctx", "is nil")
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := o.validate(ctx, rawURL); err != nil {
		return nil, err
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, optionError("url", "is not a URL") // Dial has taken it, so this is not come to
	}
	x := newExam(ctx, u, o)
	x.run()
	return x.report, nil
}

// exam is one run. Its goroutines are those of the attempt and of links, which
// the step that made them joins.
type exam struct {
	ctx     context.Context
	opts    *Options
	url     *url.URL // without user-info
	header  http.Header
	secrets *secrets
	network holdfast.Network
	report  *Report

	proxy    *url.URL // nil for none
	proxyErr error
	attempt  *attempt
	hello    *offer
	socket   *socket         // over the attempt's link, nil if it made none
	poll     *polled         // nil if it was not tried
	lost     error           // why the link that was made did not live up to its purpose
	warnings map[string]bool // for advice, by what they are about
}

func newExam(ctx context.Context, u *url.URL, o *Options) *exam {
	x := &exam{ctx: ctx, opts: o, header: http.Header{}, secrets: &secrets{}, warnings: map[string]bool{}}
	x.secrets.ofURL(u)
	x.secrets.ofHeader(o.Header)
	for name, values := range o.Header {
		name = http.CanonicalHeaderKey(name)
		x.header[name] = append(x.header[name], values...)
	}
	bare := *u
	if u.User != nil {
		password, _ := u.User.Password()
		x.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
		bare.User = nil
	}
	x.url = &bare
	x.network = o.Network
	if x.network == nil {
		x.network = systemNetwork{o.DialContext != nil}
	}
	x.report = &Report{Schema: Schema, URL: redact.URL(u), Started: time.Now()}
	return x
}

// systemNetwork is the operating system's, as a Conn sees it.
type systemNetwork struct{ customDialer bool }

func (n systemNetwork) Check(ctx context.Context, host string) holdfast.Reachability {
	if n.customDialer {
		return holdfast.ReachUnknown
	}
	return netwatch.System().Check(ctx, host)
}

func (systemNetwork) Changes(context.Context) <-chan struct{} { return nil }

func (x *exam) run() {
	x.step(StepURL, x.checkURL)
	x.step(StepProxy, x.checkProxy)
	x.step(StepNetwork, x.checkNetwork)
	x.begin()
	x.step(StepDNS, x.checkDNS)
	x.step(StepTCP, x.checkTCP)
	if x.proxy != nil {
		x.step(StepTunnel, x.checkTunnel)
	}
	x.step(StepTLS, x.checkTLS)
	x.step(StepUpgrade, x.checkUpgrade)
	x.step(StepSubprotocol, x.checkSubprotocol)
	x.step(StepPing, x.checkPing)
	x.step(StepClose, x.checkClose)
	x.end()
	x.step(StepLongPoll, x.checkLongPoll)
	x.step(StepBuffering, x.checkBuffering)
	x.step(StepIdle, x.checkIdle)
	if x.poll != nil {
		<-x.poll.done
	}
	x.report.DurationMS = millis(time.Since(x.report.Started))
	x.report.Verdict = x.conclude()
}

// step runs one check, unless the whole was called off. A check sets DurationMS
// itself if what it looked at was not done by it.
func (x *exam) step(name string, check func(*Step)) {
	if x.ctx.Err() != nil {
		return
	}
	if x.opts.OnStart != nil {
		x.opts.OnStart(name)
	}
	s := Step{Name: name, Status: OK, DurationMS: -1}
	start := time.Now()
	check(&s)
	if x.ctx.Err() != nil && s.Summary == "" {
		s.skip("called off")
	}
	if s.DurationMS < 0 {
		s.DurationMS = millis(time.Since(start))
	}
	if s.Status == Skipped {
		s.DurationMS = 0
	}
	s.Summary = x.secrets.hide(s.Summary)
	for i := range s.Details {
		s.Details[i] = x.secrets.hide(s.Details[i])
	}
	x.report.Steps = append(x.report.Steps, s)
	if x.opts.OnStep != nil {
		x.opts.OnStep(s)
	}
}

func (s *Step) skip(why string) { s.Status, s.Summary = Skipped, why }

func (s *Step) fail(format string, args ...any) {
	s.Status, s.Summary = Fail, fmt.Sprintf(format, args...)
}

func (s *Step) warn() {
	if s.Status == OK {
		s.Status = Warn
	}
}

func (s *Step) detail(format string, args ...any) {
	s.Details = append(s.Details, fmt.Sprintf(format, args...))
}

func (s *Step) took(d time.Duration) { s.DurationMS = millis(max(d, 0)) }

// polling says that the URL asks for polls alone.
func (x *exam) polling() bool { return x.url.Scheme == "http" || x.url.Scheme == "https" }

func (x *exam) secure() bool { return x.url.Scheme == "wss" || x.url.Scheme == "https" }

// web is the URL as HTTP has it.
func (x *exam) web() *url.URL {
	u := *x.url
	u.Scheme = map[bool]string{false: "http", true: "https"}[x.secure()]
	return &u
}

// next is what this host connects to: the proxy, or the server.
func (x *exam) next() *url.URL {
	if x.proxy != nil {
		return x.proxy
	}
	return x.url
}

// within bounds a step.
func (x *exam) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(x.ctx, x.opts.Timeout)
}

// brief is an error in few words: what the network said, without what was asked
// for.
func (x *exam) brief(err error) string {
	var late net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &late) && late.Timeout() {
		return "no answer in time" // whichever of two time-outs it was
	}
	return x.secrets.show(briefly(redact.Error(err)))
}
