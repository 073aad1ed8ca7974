package main

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// panel is one part of the chart: a row of the table as bars.
type panel struct {
	row, title, unit string
	metrics          []string // added up
	lower            bool     // is better
}

var panels = []panel{
	{"send/128B", "Send, 128 B", "messages/s", []string{rate}, false},
	{"send/128B-8", "Send, 128 B, 8 goroutines", "messages/s", []string{rate}, false},
	{"send/128B-wss", "Send, 128 B, over TLS", "messages/s", []string{rate}, false},
	{"send/16KiB", "Send, 16 KiB", "messages/s", []string{rate}, false},
	{"receive/128B-owned", "Receive, 128 B, owned", "messages/s", []string{rate}, false},
	{"receive/16KiB-borrowed", "Receive, 16 KiB, reused buffer", "messages/s", []string{rate}, false},
	{"echo/128B", "Round trip, 128 B", "µs, median", []string{p50}, true},
	{"echo/16KiB", "Round trip, 16 KiB", "µs, median", []string{p50}, true},
	{"idle", "Idle connection, heap and stacks", "KiB", []string{heap, stack}, true},
}

// bar is one subject in a panel.
type bar struct {
	label string
	class string
	value float64
}

// bars are a panel's, Holdfast first. Of a library that is measured with two sizes
// of buffers the better counts.
func (p panel) bars(r *report) (all []bar) {
	w := r.row(p.row)
	if w == nil {
		return nil
	}
	for _, s := range subjects {
		value := 0.0
		for _, metric := range p.metrics {
			if v := w.Samples[s.name][metric]; len(v) > 0 {
				value += median(v)
			}
		}
		if value == 0 || s.owned {
			continue
		}
		b := bar{strings.TrimSuffix(s.name, largeSuffix), "peer", value}
		switch s.name {
		case nameHoldfast:
			b.class = "own"
		case nameTCP:
			b.class = "bound"
		}
		same := slices.IndexFunc(all, func(o bar) bool { return o.label == b.label })
		switch {
		case same < 0:
			all = append(all, b)
		case p.lower:
			all[same].value = min(all[same].value, value)
		default:
			all[same].value = max(all[same].value, value)
		}
	}
	slices.SortStableFunc(all, func(a, b bar) int { return rank(a.class) - rank(b.class) })
	return all
}

func rank(class string) int { return strings.Index("own peer bound", class) }

// Lengths in the chart, in pixels.
const (
	chartWidth  = 960
	margin      = 28
	columns     = 3
	gutter      = 32
	panelWidth  = (chartWidth - 2*margin - (columns-1)*gutter) / columns
	panelHead   = 46 // title and unit
	panelFoot   = 26
	barPitch    = 20
	barHeight   = 13
	labelWidth  = 68
	valueWidth  = 46
	longestBar  = panelWidth - labelWidth - valueWidth
	chartHead   = 88
	chartFoot   = 66
	lineSpacing = 17
)

const chartStyle = `
text { font-family: -apple-system, BlinkMacSystemFont, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; font-size: 12px; fill: #1f2328 }
.title { font-size: 20px; font-weight: 600 }
.head { font-size: 14px; font-weight: 600 }
.note { fill: #59636e; font-size: 11.5px }
.strong { font-weight: 600 }
.ground { fill: #ffffff }
.own { fill: #0b69c7 }
.peer { fill: #a9b4c0 }
.bound { fill: #e3e7ec }
.axis { stroke: #c3cad2 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.note { fill: #9198a1 }
.ground { fill: #0d1117 }
.own { fill: #4493f8 }
.peer { fill: #59636e }
.bound { fill: #2f363e }
.axis { stroke: #444c56 }
}
`

// chart draws the panels whose rows were measured, as SVG.
func chart(w io.Writer, r *report) {
	type drawn struct {
		panel
		bars []bar
	}
	var all []drawn
	for _, p := range panels {
		if b := p.bars(r); len(b) > 0 {
			all = append(all, drawn{p, b})
		}
	}
	var body strings.Builder
	y := chartHead
	for row := range slices.Chunk(all, columns) {
		most := 0
		for i, d := range row {
			d.draw(&body, margin+i*(panelWidth+gutter), y, d.bars)
			most = max(most, len(d.bars))
		}
		y += panelHead + most*barPitch + panelFoot
	}
	height := y + chartFoot
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="%s">`+"\n<style>%s</style>\n",
		chartWidth, height, chartTitle, chartStyle)
	fmt.Fprintf(w, `<rect class="ground" width="%d" height="%d" rx="8"/>`+"\n", chartWidth, height)
	text(w, margin, 40, "title", chartTitle)
	text(w, margin, 62, "note", fmt.Sprintf("One run over loopback against one server, every message checked at the far end. Medians of %s.", plural(r.Rounds, "round")))
	_, _ = io.WriteString(w, body.String())
	text(w, margin, y+10, "note", r.Machine+".")
	text(w, margin, y+10+lineSpacing, "note", versionLine(r)+".")
	text(w, margin, y+10+2*lineSpacing, "note", "Raw TCP: length and payload, 64 KiB a write, no masks. gorilla and gws: the better of read and write buffers of 4 and of 64 KiB.")
	fmt.Fprintln(w, "</svg>")
}

const chartTitle = "Holdfast beside other Go WebSocket clients"

func (p panel) draw(w io.Writer, x, y int, bars []bar) {
	better := "more is better"
	if p.lower {
		better = "less is better"
	}
	text(w, x, y+14, "head", p.title)
	text(w, x, y+32, "note", p.unit+", "+better)
	longest := 0.0
	for _, b := range bars {
		longest = max(longest, b.value)
	}
	from := x + labelWidth
	for i, b := range bars {
		top := y + panelHead + i*barPitch
		emphasis := "plain"
		if b.class == "own" {
			emphasis = "strong"
		}
		length := max(b.value/longest*longestBar, 1)
		text(w, x, top+barHeight-2, emphasis, b.label)
		fmt.Fprintf(w, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`+"\n", b.class, from, top, length, barHeight)
		text(w, from+int(length)+6, top+barHeight-2, emphasis, number(p.metrics[0], b.value))
	}
	fmt.Fprintf(w, `<line class="axis" x1="%d" x2="%[1]d" y1="%d" y2="%d"/>`+"\n", from, y+panelHead-4, y+panelHead+len(bars)*barPitch-3)
}

func text(w io.Writer, x, y int, class, s string) {
	fmt.Fprintf(w, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", class, x, y, html.EscapeString(s))
}
