package chaos

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// Result is what one run of a scenario came to.
type Result struct {
	Scenario  string `json:"scenario"`
	Transport string `json:"transport"`
	Seed      uint64 `json:"seed"`
	// Messages were to be sent, both ways together. Lost, Doubled, Disordered and
	// Damaged are what must not be; Gaps count those whose epoch was not 1.
	Messages   int `json:"messages"`
	Lost       int `json:"lost"`
	Doubled    int `json:"doubled"`
	Disordered int `json:"out_of_order"`
	Damaged    int `json:"damaged"`
	Gaps       int `json:"gaps"`
	// Links, Losses and Failures are the Conn's: made, lost, and attempts that
	// failed. Connections are TCP's, as the server saw them.
	Links       int   `json:"links"`
	Losses      int   `json:"losses"`
	Failures    int   `json:"failed_attempts"`
	Connections int64 `json:"tcp_connections"`
	// Reports counts the classes and close codes in the Conn's events.
	Reports map[string]int `json:"reports"`
	// Harmed is how long the harm lasted, First how long after it the first
	// message came, either way, and Took the whole run.
	Harmed time.Duration `json:"harmed_ns"`
	First  time.Duration `json:"first_message_after_ns"`
	Took   time.Duration `json:"took_ns"`
	// Err says what else went wrong; nil if nothing did.
	Err error `json:"-"`
	// Error is its text.
	Error string `json:"error,omitempty"`
}

// OK says that every message came once, whole and in order, and nothing else
// went wrong.
func (r *Result) OK() bool {
	return r.Err == nil && r.Lost+r.Doubled+r.Disordered+r.Damaged+r.Gaps == 0
}

// Reported is Reports as a person reads it.
func (r *Result) Reported() string {
	var all []string
	for _, what := range slices.Sorted(maps.Keys(r.Reports)) {
		all = append(all, fmt.Sprintf("%s ×%d", what, r.Reports[what]))
	}
	if all == nil {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

// note counts what an event says of a failure.
func (r *Result) note(e holdfast.Event) {
	switch e.Kind {
	case holdfast.EventConnected:
		r.Links++
		if r.Links > 1 && !e.Resumed {
			r.fail(errors.New("a link has not resumed the session"))
		}
		return
	case holdfast.EventDisconnected:
		r.Losses++
	case holdfast.EventAttemptFailed:
		r.Failures++
	case holdfast.EventGap, holdfast.EventDropped:
		r.fail(fmt.Errorf("event %q: %d messages, %w", e.Kind, e.Count, e.Err))
		return
	default:
		return
	}
	var dial *holdfast.DialError
	var closed *holdfast.CloseError
	switch {
	case errors.As(e.Err, &closed):
		r.Reports["lost, "+closed.Code.String()]++
	case errors.As(e.Err, &dial):
		r.Reports["failed, "+dial.Class.String()]++
	}
}

func (r *Result) fail(err error) {
	if r.Err == nil {
		r.Err, r.Error = err, err.Error()
	}
}

// Table prints results as they are read by a person.
func Table(w io.Writer, results []*Result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "scenario\ttransport\tmessages\tlost\tdoubled\tout of order\treconnects\tharm, s\tfirst message after it, ms\tthe Conn reports")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%s\n", r.Scenario, r.Transport, r.Messages, r.Lost, r.Doubled, r.Disordered,
			max(0, r.Links-1), r.Harmed.Seconds(), float64(r.First.Microseconds())/1000, r.Reported())
	}
	_ = t.Flush()
	for _, r := range results {
		if !r.OK() {
			fmt.Fprintf(w, "FAILED: %s over %s, seed %d: %d damaged, %d after a gap; %v\n", r.Scenario, r.Transport, r.Seed, r.Damaged, r.Gaps, r.Err)
		}
	}
}
