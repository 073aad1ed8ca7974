package doctor

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/internal/redact"
)

// screen shows the steps as they come. In a terminal the one that is under way
// has a line that is taken away again.
type screen struct {
	out   io.Writer
	color cli.Palette
	term  *os.File // nil for none

	idle      time.Duration // how long step idle may take
	unreached []string      // names of steps, told in one line
}

func newScreen(out io.Writer) *screen {
	v := &screen{out: out, color: cli.PaletteFor(out)}
	v.term, _ = cli.Terminal(out)
	return v
}

var marks = map[doctor.Status]struct {
	sign  string
	color cli.Color
}{
	doctor.OK: {"✓", cli.Green}, doctor.Warn: {"!", cli.Yellow}, doctor.Fail: {"✗", cli.Red}, doctor.Skipped: {"–", cli.Dim},
}

// indent is where a step's words begin.
const indent = 26

func (v *screen) title(c *command) {
	fmt.Fprintf(v.out, "%s\n", v.color.Paint(cli.Bold, redact.String(c.url)))
	if c.insecure {
		fmt.Fprintln(v.out, v.color.Paint(cli.Red, "CERTIFICATES ARE NOT VERIFIED (--insecure): whoever answers may be anybody, and gets the credentials that are sent"))
	}
	fmt.Fprintln(v.out)
}

func (v *screen) start(name string) {
	if v.term == nil {
		return
	}
	if name == doctor.StepIdle && v.idle > 0 {
		name += fmt.Sprintf(", for %v at most; Ctrl-C ends it", v.idle)
	}
	fmt.Fprint(v.out, v.color.Paint(cli.Dim, "… "+name))
}

func (v *screen) step(s doctor.Step) {
	if v.term != nil {
		fmt.Fprint(v.out, "\r\x1b[K")
	}
	if s.Status == doctor.Skipped && s.Summary == "not reached" {
		v.unreached = append(v.unreached, s.Name)
		return
	}
	m := marks[s.Status]
	took := ""
	if s.Status != doctor.Skipped && s.Name != doctor.StepURL && s.Name != doctor.StepProxy { // thought takes no time
		took = millis(s.DurationMS)
	}
	summary := s.Summary
	if s.Status == doctor.Skipped {
		summary = v.color.Paint(cli.Dim, summary)
	}
	pad := func(n int) string { return strings.Repeat(" ", max(n, 0)) }
	fmt.Fprintf(v.out, "%s %-11s %s%s  %s\n", v.color.Paint(m.color, m.sign), s.Name,
		pad(10-utf8.RuneCountInString(took)), v.color.Paint(cli.Dim, took), v.wrap(summary, indent))
	for _, d := range s.Details {
		fmt.Fprintf(v.out, "%s%s\n", pad(indent), v.color.Paint(cli.Dim, v.wrap(d, indent+2)))
	}
}

// flush tells of the steps that were not come to.
func (v *screen) flush() {
	if len(v.unreached) > 0 {
		text := v.wrap("not reached: "+strings.Join(v.unreached, ", "), 2)
		fmt.Fprintf(v.out, "%s %s\n", v.color.Paint(cli.Dim, marks[doctor.Skipped].sign), v.color.Paint(cli.Dim, text))
	}
	v.unreached = nil
}

// millis is a time as people read it.
func millis(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", ms)
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", ms)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// verdict ends the report.
func (v *screen) verdict(r *doctor.Report, interrupted bool) {
	v.flush()
	m := marks[r.Verdict.Status]
	class := ""
	if !r.Verdict.OK && r.Verdict.ExitCode > cli.ExitUsage {
		class = r.Verdict.Class.String() + ": "
	}
	fmt.Fprintf(v.out, "\n%s %s\n", v.color.Paint(m.color, m.sign), v.color.Paint(cli.Bold, v.wrap(class+r.Verdict.Summary, 2)))
	for _, a := range r.Verdict.Advice {
		fmt.Fprintf(v.out, "  → %s\n", v.wrap(a, 4))
	}
	if hint := hints[r.Verdict.Class]; hint != "" && class != "" {
		fmt.Fprintf(v.out, "  → %s\n", v.wrap(hint, 4))
	}
	if !r.Verdict.OK && !interrupted {
		last := fmt.Sprintf("Exit code %d.", r.Verdict.ExitCode)
		if class != "" {
			last = "A Conn " + conduct(r.Verdict) + ". " + last
		}
		fmt.Fprintf(v.out, "  %s\n", v.color.Paint(cli.Dim, last))
	}
}

// hints are what this command can do about a class.
var hints = map[holdfast.Class]string{
	holdfast.ClassUnauthorized: "with this command: --auth VARIABLE, or -H 'Name: value'",
	holdfast.ClassProxyAuth:    "with this command: --proxy http://user:password@host:port, or HTTPS_PROXY in the environment",
	holdfast.ClassProxyRefused: "with this command: --proxy none tries without it",
	holdfast.ClassProxyDown:    "with this command: --proxy none tries without it",
	holdfast.ClassTLSTrust:     "with this command: --insecure looks on without trust",
}

// conduct is what a Conn does about it.
func conduct(v doctor.Verdict) string {
	if v.Class == holdfast.ClassOffline {
		return "waits until there is a way again, and dials then"
	}
	if v.Class == holdfast.ClassBlocked {
		return "goes on over its Fallback if it has one, and else retries"
	}
	return map[holdfast.Decision]string{
		holdfast.DecisionRetry: "retries", holdfast.DecisionRetrySlowly: "retries slowly",
		holdfast.DecisionReauthorize: "asks Authorize once more, then stops", holdfast.DecisionStop: "stops",
	}[v.Decision]
}

// wrap breaks text that is too long for the terminal, between words.
func (v *screen) wrap(text string, indent int) string {
	if v.term == nil {
		return text
	}
	width, _, ok := cli.TerminalSize(v.term)
	if !ok || width-indent < 20 {
		return text
	}
	width -= indent + 1
	var b strings.Builder
	at := 0
	for i, word := range strings.SplitAfter(text, " ") {
		n := utf8.RuneCountInString(strings.TrimRight(word, " "))
		if i > 0 && at+n > width {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = 0
		}
		b.WriteString(word)
		at += utf8.RuneCountInString(word)
	}
	return b.String()
}
