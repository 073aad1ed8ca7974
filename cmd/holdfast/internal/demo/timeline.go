package demo

import (
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// How a cell looks: without its colour too.
var (
	cellGlyphs = [...]string{cellConnected: "█", cellFallback: "▄", cellIdle: "·", cellOffline: "░", cellRetrying: "▒", cellSilent: "▓"}
	cellColors = [...]cli.Color{cellConnected: cli.Green, cellFallback: cli.Green, cellIdle: cli.Dim, cellOffline: cli.Blue, cellRetrying: cli.Yellow, cellSilent: cli.Red}
	cellNames  = [...]string{cellConnected: "connected", cellFallback: "long polling", cellIdle: "closed", cellOffline: "offline", cellRetrying: "retrying", cellSilent: "silent"}
)

// drawBar draws the samples so far on a scale of width columns for total.
func drawBar(cells []cell, width int, total time.Duration) string {
	samples := max(int(total/sampleEvery), len(cells))
	var b strings.Builder
	var run strings.Builder // of one kind
	var kind cell
	flush := func() {
		b.WriteString(cli.Palette(true).Paint(cellColors[kind], run.String()))
		run.Reset()
	}
	for x := range width {
		first, end := x*samples/width, (x+1)*samples/width
		if first >= len(cells) {
			break
		}
		worst := cells[first]
		for _, c := range cells[first:max(first, min(end, len(cells)))] {
			worst = max(worst, c)
		}
		if worst != kind {
			flush()
			kind = worst
		}
		run.WriteString(cellGlyphs[worst])
	}
	flush()
	return b.String()
}

// drawMarks writes the faults' names under the moments at which they began, in
// two lines, as far as there is room.
func drawMarks(marks []mark, width int, total time.Duration) []string {
	lines := [2][]rune{[]rune(strings.Repeat(" ", width)), []rune(strings.Repeat(" ", width))}
	var ends [len(lines)]int
	for _, m := range marks {
		at := min(column(m.at, width, total), width-1)
		text := []rune("▲" + m.name)
		at = max(0, min(at, width-len(text)))
		for i := range lines {
			if ends[i] <= at {
				ends[i] = at + copy(lines[i][at:], text) + 1
				break
			}
		}
	}
	drawn := make([]string, len(lines))
	for i, l := range lines {
		drawn[i] = cli.Palette(true).Paint(cli.Cyan, strings.TrimRight(string(l), " "))
	}
	return drawn
}

func column(at time.Duration, width int, total time.Duration) int {
	return int(int64(at) * int64(width) / int64(total))
}

// legend explains the cells.
func legend(width int) string {
	s, used := "", 0
	for _, c := range []cell{cellConnected, cellFallback, cellSilent, cellRetrying, cellOffline} {
		text := " " + cellGlyphs[c] + " " + cellNames[c] + " "
		if used += columns(text); used > width {
			break
		}
		s += cli.Palette(true).Paint(cellColors[c], " "+cellGlyphs[c]) + cli.Palette(true).Paint(cli.Dim, " "+cellNames[c]+" ")
	}
	return s
}
