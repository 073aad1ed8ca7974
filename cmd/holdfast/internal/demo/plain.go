package demo

import (
	"fmt"
	"io"
	"time"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// statusEvery is how often plain output tells how things stand.
const statusEvery = 2 * time.Second

// plain writes lines, for files and pipes.
type plain struct {
	w    io.Writer
	next time.Duration
}

func newPlain(w io.Writer, s settings) *plain {
	fmt.Fprintf(w, "Holdfast demo, %v, seed %d\n", s.duration, s.seed)
	return &plain{w: w, next: statusEvery}
}

func (p *plain) show(s sample, news []entry) {
	for _, e := range news {
		who := e.who
		if who == "" {
			who = "FAULT"
		}
		fmt.Fprintf(p.w, "%8.3f  %-14s %s\n", e.at.Seconds(), who, e.text)
	}
	if s.at < p.next {
		return
	}
	p.next = s.at.Truncate(statusEvery) + statusEvery
	for _, l := range s.lanes {
		fmt.Fprintf(p.w, "%8.3f  %-14s %s\n", s.at.Seconds(), l.name, "= "+l.status())
	}
}

func (p *plain) end(t *tally) { t.report(p.w, cli.Palette(false)) }

func (p *plain) interrupted() {}

// status is the lane in one line.
func (l laneSample) status() string {
	return fmt.Sprintf("%-22s rtt %-7s queue %-4d sent %d/s received %d/s", l.doing(), roundTrip(l.rtt), l.queued, l.sent, l.received)
}

// doing is the state, with the attempt and the delay where there are any.
func (l laneSample) doing() string {
	s := l.state.String()
	switch {
	case l.cell == cellSilent:
		s += ", but silent"
	case l.transport != "":
		s += ", " + l.transport
	}
	if l.attempt > 0 {
		s += fmt.Sprintf(" #%d", l.attempt)
	}
	if l.left > 0 {
		s += " in " + seconds(l.left)
	}
	return s
}

func roundTrip(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	}
	return seconds(d)
}
