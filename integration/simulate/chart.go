package main

import (
	"fmt"
	"html"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/integration/internal/page"
	"github.com/holdfast-ws/holdfast/integration/internal/policy"
	"github.com/holdfast-ws/holdfast/integration/internal/simulation"
)

// Lengths in the chart, in pixels, but for lasts.
const (
	chartWidth  = 960
	margin      = 28
	columns     = 3
	gutter      = 30
	panelWidth  = (chartWidth - 2*margin - (columns-1)*gutter) / columns
	plotWidth   = panelWidth - axisWidth
	plotHeight  = 96
	axisWidth   = 40
	rowHeight   = plotHeight + 74
	chartHead   = 128
	chartFoot   = 62
	lineSpacing = 17
	lasts       = 120 // seconds
)

const chartTitle = "1,000,000 clients lose their server for 30 s"

const chartStyle = `
text { font-family: -apple-system, BlinkMacSystemFont, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; font-size: 12px; fill: #1f2328 }
.title { font-size: 20px; font-weight: 600 }
.head { font-size: 13.5px; font-weight: 600 }
.note { fill: #59636e; font-size: 11.5px }
.strong { font-weight: 600; font-size: 12px }
.ground { fill: #ffffff }
.down { fill: #edf0f4 }
.own { fill: #0b69c7; stroke: #0b69c7 }
.peer { fill: #8593a1; stroke: #8593a1 }
.axis { stroke: #c3cad2 }
.grid { stroke: #e3e7ec }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.note { fill: #9198a1 }
.ground { fill: #0d1117 }
.down { fill: #1b2129 }
.own { fill: #4493f8; stroke: #4493f8 }
.peer { fill: #7d8894; stroke: #7d8894 }
.axis { stroke: #444c56 }
.grid { stroke: #2b323b }
}
`

// panel is one plot: a value for each second.
type panel struct {
	class  string
	values []float64 // shares of the top
	note   string
	labels [2]string // of half the top, and the top
}

// chart draws a row of panels for each policy.
func chart(w io.Writer) {
	shown := policy.All
	free, full := make([]*simulation.Outcome, len(shown)), make([]*simulation.Outcome, len(shown))
	var runs sync.WaitGroup
	runs.Go(func() {
		for i, p := range shown {
			free[i] = simulate(world(p, outage, 0))
		}
	})
	runs.Go(func() {
		for i, p := range shown {
			full[i] = simulate(world(p, outage, rate))
		}
	})
	runs.Wait()

	height := chartHead + len(shown)*rowHeight + chartFoot
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="%s, and come back with three ways of spacing attempts">`+"\n<style>%s</style>\n",
		chartWidth, height, chartTitle, chartStyle)
	fmt.Fprintf(w, `<rect class="ground" width="%d" height="%d" rx="8"/>`+"\n", chartWidth, height)
	text(w, margin, 40, "title", chartTitle)
	text(w, margin, 62, "note", "Simulated, seed 1. All lose it within 0.1 s. The shaded part is the outage; the scales are the same in each column.")
	for i, head := range [columns][2]string{
		{"Accepts a second", "by a server without a limit"},
		{"Attempts a second", "at one that takes 20,000 a second"},
		{"Clients that are back", "at the same one"},
	} {
		x := margin + i*(panelWidth+gutter)
		text(w, x, 96, "head", head[0])
		text(w, x, 96+lineSpacing-1, "note", head[1])
	}
	for i, p := range shown {
		y := chartHead + i*rowHeight
		class := "peer"
		if p == policy.Default {
			class = "own"
		}
		thousands := [2]string{"500k", "1M"}
		for column, q := range []panel{
			{class, perSecond(free[i].Accepts), "most: " + page.Grouped(free[i].PeakAccepts), thousands},
			{class, perSecond(full[i].Attempted), "in all: " + millions(full[i].Attempts), thousands},
			{class, share(full[i].Accepts), "99 %: " + lateness(full[i].Back99), [2]string{"50 %", "100 %"}},
		} {
			q.draw(w, margin+column*(panelWidth+gutter), y, p.Name)
		}
	}
	y := chartHead + len(shown)*rowHeight + 14
	text(w, margin, y, "note", "The server that takes 20,000 a second lets 4,096 more wait and refuses the rest at once, as a full backlog does. Nobody gives up.")
	text(w, margin, y+lineSpacing, "note", "Fixed: 1 s. Exponential: 1, 2, 4, 8, 16, 30, 30 s. Full jitter: a random time between 0 and those. Made by go run ./simulate -docs ../docs in integration/.")
	fmt.Fprintln(w, "</svg>")
}

func lateness(d time.Duration) string {
	if d > 10*time.Minute {
		return fmt.Sprintf("after %.0f min", d.Minutes())
	}
	return fmt.Sprintf("after %.0f s", d.Seconds())
}

// perSecond makes shares of a million of tenths of seconds.
func perSecond(steps []int) []float64 {
	values := make([]float64, lasts)
	for i, n := range steps {
		if at := i / 10; at < lasts {
			values[at] += float64(n) / million
		}
	}
	return values
}

// share adds up.
func share(steps []int) []float64 {
	values := perSecond(steps)
	for i := 1; i < lasts; i++ {
		values[i] += values[i-1]
	}
	return values
}

func (p panel) draw(w io.Writer, x, y int, name string) {
	text(w, x, y+14, "strong", name)
	fmt.Fprintf(w, `<text class="note" x="%d" y="%d" text-anchor="end">%s</text>`+"\n", x+panelWidth, y+14, html.EscapeString(p.note))
	left, top := x+axisWidth, y+26
	bottom := top + plotHeight
	at := func(second float64) float64 { return float64(left) + second/lasts*plotWidth }
	fmt.Fprintf(w, `<rect class="down" x="%d" y="%d" width="%.1f" height="%d"/>`+"\n", left, top, at(outage.Seconds())-float64(left), plotHeight)
	for i, label := range p.labels {
		line := bottom - (i+1)*plotHeight/2
		fmt.Fprintf(w, `<line class="grid" x1="%d" x2="%d" y1="%d" y2="%[3]d"/>`+"\n", left, left+plotWidth, line)
		fmt.Fprintf(w, `<text class="note" x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-5, line+4, label)
	}
	var d strings.Builder
	fmt.Fprintf(&d, "M%.1f %d", at(0), bottom)
	for i, v := range p.values {
		v = min(v, 1) * plotHeight
		fmt.Fprintf(&d, "V%.1fH%.1f", float64(bottom)-v, at(float64(i+1)))
	}
	fmt.Fprintf(&d, "V%dZ", bottom)
	fmt.Fprintf(w, `<path class="%s" d="%s" stroke-width="0.6"/>`+"\n", p.class, d.String())
	fmt.Fprintf(w, `<line class="axis" x1="%d" x2="%d" y1="%d" y2="%[3]d"/>`+"\n", left, left+plotWidth, bottom)
	for second := 0; second <= lasts; second += 30 {
		label := fmt.Sprint(second)
		if second == lasts {
			label += " s"
		}
		fmt.Fprintf(w, `<text class="note" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at(float64(second)), bottom+15, label)
	}
}

func text(w io.Writer, x, y int, class, s string) {
	fmt.Fprintf(w, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, html.EscapeString(s))
}
