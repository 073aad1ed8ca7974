package doctor

import (
	"encoding/json"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// Schema is the number of the JSON schema of a Report.
const Schema = 1

// Status is what became of a step.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Warn    Status = "warn" // works, and is worth a look
	Fail    Status = "fail"
	Skipped Status = "skipped" // not asked for, not reached, or not for this URL
)

// The names of the steps, in order.
const (
	StepURL         = "url"
	StepProxy       = "proxy"
	StepNetwork     = "network"
	StepDNS         = "dns"
	StepTCP         = "tcp"
	StepTunnel      = "tunnel"
	StepTLS         = "tls"
	StepUpgrade     = "upgrade"
	StepSubprotocol = "subprotocol"
	StepPing        = "ping"
	StepClose       = "close"
	StepLongPoll    = "longpoll"
	StepBuffering   = "buffering"
	StepIdle        = "idle"
)

// Report is what Run has found.
type Report struct {
	// Schema is the constant Schema.
	Schema int `json:"schema"`
	// URL is the endpoint without user-info and query values.
	URL string `json:"url"`
	// Started is when the check began, DurationMS how long it took.
	Started    time.Time `json:"started"`
	DurationMS float64   `json:"duration_ms"`
	// Steps are those that were come to, in order.
	Steps []Step `json:"steps"`
	// Verdict is what they mean.
	Verdict Verdict `json:"verdict"`
}

// Step returns the step of a name, nil if it was not come to.
func (r *Report) Step(name string) *Step {
	for i := range r.Steps {
		if r.Steps[i].Name == name {
			return &r.Steps[i]
		}
	}
	return nil
}

// Step is one check.
type Step struct {
	// Name is one of the constants.
	Name   string `json:"name"`
	Status Status `json:"status"`
	// DurationMS is the time that what was checked took.
	DurationMS float64 `json:"duration_ms"`
	// Summary is the result in a few words, Details what there is beyond, a line
	// each.
	Summary string   `json:"summary"`
	Details []string `json:"details,omitempty"`
	// Facts are the same for programs: a pointer to the type named like the step,
	// or nil.
	Facts any `json:"facts,omitempty"`
}

// Verdict is what the steps mean.
type Verdict struct {
	// OK says that messages can be carried over the URL's own transport:
	// WebSocket for ws and wss, long polling for http and https.
	OK bool
	// Status is OK, Warn where it works and there is Advice, or Fail.
	Status Status
	// Class is the kind of cause, as a *holdfast.DialError has it, and Phase how
	// far the attempt came; without meaning where OK. ClassUnknown with OK false
	// and Phase 0 is a link that was made and did not live up to its purpose, or
	// a check that was called off.
	Class holdfast.Class
	Phase holdfast.Phase
	// StatusCode is the HTTP status of the answer, 0 if there was none.
	StatusCode int
	// Decision is what a Conn does about it.
	Decision holdfast.Decision
	// Summary is the verdict in a sentence, Advice what to do about it, the most
	// important first.
	Summary string
	Advice  []string
	// ExitCode is that of the command: 0 if OK, ExitCodeOf the class otherwise, 1
	// where there is none.
	ExitCode int
}

// verdictJSON is a Verdict with words in place of numbers.
type verdictJSON struct {
	OK         bool     `json:"ok"`
	Status     Status   `json:"status"`
	Class      string   `json:"class,omitempty"`
	Phase      string   `json:"phase,omitempty"`
	StatusCode int      `json:"status_code,omitempty"`
	Decision   string   `json:"decision,omitempty"`
	Summary    string   `json:"summary"`
	Advice     []string `json:"advice"`
	ExitCode   int      `json:"exit_code"`
}

// MarshalJSON gives class, phase and decision as their words, and leaves them out
// where they have no meaning.
func (v Verdict) MarshalJSON() ([]byte, error) {
	j := verdictJSON{OK: v.OK, Status: v.Status, StatusCode: v.StatusCode, Summary: v.Summary, Advice: v.Advice, ExitCode: v.ExitCode}
	if j.Advice == nil {
		j.Advice = []string{}
	}
	if !v.OK && v.ExitCode != exitNoClass {
		j.Class, j.Phase, j.Decision = v.Class.String(), v.Phase.String(), v.Decision.String()
	}
	return json.Marshal(j)
}

// exitNoClass is for a failure that no class is for.
const exitNoClass = 1

// exitCodes are for good: scripts know them.
var exitCodes = map[holdfast.Class]int{
	holdfast.ClassUnknown: 10, holdfast.ClassOffline: 11, holdfast.ClassLocalPolicy: 12, holdfast.ClassUnreachable: 13,
	holdfast.ClassServerDown: 14, holdfast.ClassTimeout: 15, holdfast.ClassName: 16, holdfast.ClassDNS: 17,
	holdfast.ClassTLS: 18, holdfast.ClassTLSTrust: 19, holdfast.ClassWrongScheme: 20, holdfast.ClassTransient: 21,
	holdfast.ClassBlocked: 22, holdfast.ClassIntercepted: 23, holdfast.ClassProxyAuth: 24, holdfast.ClassProxyRefused: 25,
	holdfast.ClassProxyDown: 26, holdfast.ClassNotFound: 27, holdfast.ClassUnauthorized: 28, holdfast.ClassRejected: 29,
	holdfast.ClassOverloaded: 30, holdfast.ClassCallback: 31, holdfast.ClassNotSticky: 32,
}

// ExitCodeOf is the exit code for a class: 10 for ClassUnknown, and up to 32.
func ExitCodeOf(c holdfast.Class) int {
	if code, ok := exitCodes[c]; ok {
		return code
	}
	return exitCodes[holdfast.ClassUnknown]
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
