package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// What a terminal is told.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	noWrap     = "\x1b[?7l" // a line that is too long is cut
	wrap       = "\x1b[?7h"
	clearBelow = "\x1b[J"
)

// screen draws in a terminal: a log that scrolls, and below it the picture,
// which is drawn anew each time.
type screen struct {
	settings
	w     io.Writer
	width func() int
	drawn int      // lines of the picture
	cells [][]cell // by lane, one for each sample
	begun bool
}

func newScreen(w io.Writer, s settings, width func() int) *screen {
	return &screen{settings: s, w: w, width: width}
}

func (s *screen) show(now sample, news []entry) {
	var b strings.Builder
	if !s.begun {
		s.begun = true
		b.WriteString(hideCursor + noWrap)
	}
	s.erase(&b)
	width := max(s.width(), minWidth)
	for _, e := range news {
		b.WriteString(logLine(e, width) + "\n")
	}
	if s.cells == nil {
		s.cells = make([][]cell, len(now.lanes))
	}
	for i, l := range now.lanes {
		s.cells[i] = append(s.cells[i], l.cell)
	}
	lines := s.picture(now, width)
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	s.drawn = len(lines)
	_, _ = io.WriteString(s.w, b.String())
}

// erase removes the picture, so that the log can grow in its place.
func (s *screen) erase(b *strings.Builder) {
	if s.drawn > 0 {
		fmt.Fprintf(b, "\r\x1b[%dA", s.drawn)
		b.WriteString(clearBelow)
	}
}

// interrupted gives the terminal back as it was.
func (s *screen) interrupted() { _, _ = io.WriteString(s.w, wrap+showCursor) }

func (s *screen) end(t *tally) {
	s.interrupted()
	t.report(s.w, true)
}

const minWidth = 40

// picture is the state of things in lines of at most width columns.
func (s *screen) picture(now sample, width int) []string {
	total := max(s.duration, now.at)
	title := fmt.Sprintf(" Holdfast demo, seed %d", s.seed)
	clock := fmt.Sprintf("%.1f s of %.0f s ", now.at.Seconds(), s.duration.Seconds())
	if f := latest(now); f != "" {
		title += ", fault: " + f
	}
	lines := []string{
		"",
		cli.Palette(true).Paint(cli.Bold, spread(title, clock, width)),
		"",
	}
	bar := width - 2
	for i, l := range now.lanes {
		lines = append(lines, laneLine(l, width), " "+drawBar(s.cells[i], bar, total))
	}
	for _, marks := range drawMarks(now.marks, bar, total) {
		lines = append(lines, " "+marks)
	}
	return append(lines, legend(width))
}

// latest is the fault that began in the last second and a half.
func latest(now sample) string {
	if n := len(now.marks); n > 0 && now.at-now.marks[n-1].at < 1500*time.Millisecond {
		return now.marks[n-1].name
	}
	return ""
}

// laneLine is a lane in one line; the least important goes first where it is narrow.
func laneLine(l laneSample, width int) string {
	c := cellColors[l.cell]
	head := fmt.Sprintf(" %-14s", l.name)
	state := l.doing()
	parts := []string{fmt.Sprintf("rtt %-6s", roundTrip(l.rtt)), fmt.Sprintf("queue %-4d", l.queued),
		fmt.Sprintf("↑%3d/s ↓%3d/s", l.sent, l.received)}
	tail := strings.Join(parts, "  ") + " "
	for len(parts) > 0 && utf8.RuneCountInString(head)+stateWidth+columns(tail) > width {
		parts = parts[1:]
		tail = strings.Join(parts, "  ") + " "
	}
	room := width - columns(head) - columns(tail)
	state = cut(state, room-3)
	dot := "●"
	if l.state != holdfast.StateConnected {
		dot = "○"
	}
	return cli.Palette(true).Paint(cli.Bold, head) + " " + cli.Palette(true).Paint(c, dot+" "+state) +
		strings.Repeat(" ", max(0, room-3-columns(state))) + tail
}

const stateWidth = 24

// columns is the width of text that holds no control characters.
func columns(s string) int { return utf8.RuneCountInString(s) }

// cut shortens s to width columns.
func cut(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	r := []rune(s)
	return string(r[:max(0, width-1)]) + "…"
}

// spread sets two texts to the ends of a line.
func spread(left, right string, width int) string {
	left = cut(left, width-columns(right)-1)
	return left + strings.Repeat(" ", max(1, width-columns(left)-columns(right))) + right
}

// logLine is an entry as the log shows it.
func logLine(e entry, width int) string {
	p := cli.Palette(true)
	at := fmt.Sprintf("%7.2f  ", e.at.Seconds())
	if e.who == "" {
		return p.Paint(cli.Dim, at) + p.Paint(cli.Cyan+";1", cut("▼ "+e.text, width-columns(at)))
	}
	who := fmt.Sprintf("  %-14s ", e.who)
	c := map[mood]cli.Color{good: cli.Green, bad: cli.Red, away: cli.Blue}[e.mood]
	return p.Paint(cli.Dim, at+who) + p.Paint(c, cut(e.text, width-columns(at)-columns(who)))
}
