package holdfasttest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
)

// maxError bounds an error's text in a table, in characters.
const maxError = 120

// A table is what events look like to a person: aligned columns, a row for each.
type table struct {
	head []string
	rows [][]string
	lost int // events before the first row
}

func (r *Recorder) table() table {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := table{head: []string{"time", "event", "state", "transport", "attempt", "delay", "epoch", "count", "error"}, lost: r.lost}
	for _, e := range r.events {
		t.rows = append(t.rows, row(e, r.start))
	}
	return t
}

func row(e holdfast.Event, start time.Time) []string {
	epoch := number(e.Epoch)
	if e.Resumed {
		epoch += " resumed"
	}
	delay, text := "", ""
	if e.Delay != 0 {
		delay = e.Delay.Round(time.Millisecond).String()
	}
	if e.Err != nil {
		text = clip(strings.Join(strings.Fields(e.Err.Error()), " "))
	}
	return []string{
		fmt.Sprintf("%+.3fs", e.Time.Sub(start).Seconds()), name(e.Kind), e.State.String(), e.Transport,
		number(uint64(e.Attempt)), delay, epoch, number(uint64(e.Count)), text,
	}
}

func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

func clip(s string) string {
	if utf8.RuneCountInString(s) <= maxError {
		return s
	}
	return string([]rune(s)[:maxError-1]) + "…"
}

// shown says whether a row is one of those that a person looks at: the first, the
// last and those around the mark, 60 at most.
func (t table) shown(row, marked int) bool {
	last := len(t.rows) - row
	return row < 10 || last <= 25 || marked >= 0 && row >= marked-20 && row < marked+5
}

// render returns the table, with a mark at a row: -1 marks none, and one past the
// last row the end. The first column is aligned to the right.
func (t table) render(marked int, mark string) string {
	if len(t.rows) == 0 && marked < 0 {
		return "  no events\n"
	}
	width := make([]int, len(t.head))
	for row, cells := range append([][]string{t.head}, t.rows...) {
		if row > 0 && !t.shown(row-1, marked) {
			continue
		}
		for i, cell := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	line := func(sign string, cells []string) {
		text := sign + " " + strings.Repeat(" ", width[0]-utf8.RuneCountInString(cells[0])) + cells[0]
		for i, cell := range cells[1:] {
			text += "  " + cell + strings.Repeat(" ", width[i+1]-utf8.RuneCountInString(cell))
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	line(" ", t.head)
	if t.lost > 0 {
		fmt.Fprintf(&b, "  … %d earlier events\n", t.lost)
	}
	arrow := "  " + strings.Repeat(" ", width[0]-1) + "^ " + mark + "\n"
	left := 0
	for i, cells := range t.rows {
		if !t.shown(i, marked) {
			left++
			continue
		}
		if left > 0 {
			fmt.Fprintf(&b, "  … %d events\n", left)
			left = 0
		}
		if i != marked {
			line(" ", cells)
			continue
		}
		line(">", cells)
		b.WriteString(arrow)
	}
	if marked == len(t.rows) {
		b.WriteString("> the end\n")
		b.WriteString(arrow)
	}
	return b.String()
}
