package debugpage

import (
	"strconv"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// band is a time in one state and with one transport.
type band struct {
	from, to time.Time
	state    string // "unrecorded" before the memory begins
	carrier  string
}

const unrecorded = "unrecorded"

// bands are the life of a member from begin to end.
func (d *detailed) bands(begin, end time.Time) []band {
	var all []band
	add := func(from, to time.Time, state, carrier string) {
		if from.Before(begin) {
			from = begin
		}
		if to.After(end) {
			to = end
		}
		if !from.Before(to) {
			return
		}
		if n := len(all); n > 0 && all[n-1].state == state && all[n-1].carrier == carrier {
			all[n-1].to = to
			return
		}
		all = append(all, band{from, to, state, carrier})
	}
	if !d.recorded {
		add(begin, end, unrecorded, "")
		return all
	}
	add(d.since, d.from, unrecorded, "")
	at, state, carrier := d.from, d.state, d.carrier
	for i := range d.events {
		h := &d.events[i]
		if t := h.time(); t.After(at) {
			add(at, t, stateName(state), carrier)
			at = t
		}
		state, carrier = h.state, h.carrierAfter(carrier)
	}
	add(at, end, stateName(state), carrier)
	return all
}

// The lanes of the picture: how far down they begin, and how high they are.
const (
	pictureWidth  = 1000.0
	pictureHeight = 92.0

	stateY, stateHeight     = 0.0, 38.0
	carrierY, carrierHeight = 42.0, 14.0
	markY, markHeight       = 60.0, 32.0

	leastWidth = 2.5 // of what must not be overlooked
)

// timeline appends the picture of a member's events.
func (p *page) timeline(v *view, d *detailed, now time.Time) {
	end := now
	if !d.ended.IsZero() {
		end = d.ended
	}
	begin := d.since
	if length, err := time.ParseDuration(v.span); err == nil && end.Sub(begin) > length {
		begin = end.Add(-length)
	}
	if !end.After(begin) {
		end = begin.Add(time.Millisecond)
	}
	bands := d.bands(begin, end)
	total := end.Sub(begin)
	x := func(t time.Time) float64 { return float64(t.Sub(begin)) / float64(total) * pictureWidth }

	p.raw(`<section><h2>Timeline</h2><p class="range"><span class="pages">`)
	for _, s := range spans {
		p.spanLink(v, s, map[string]string{"1m": "Last minute", "10m": "10 minutes", "1h": "Hour", "24h": "Day"}[s])
	}
	p.spanLink(v, "", "Everything")
	p.raw(`</span></p><figure class="timeline"><div class="lanes" aria-hidden="true"><span class="lane-state">State</span><span class="lane-carrier">Transport</span><span class="lane-mark">Events</span></div><svg role="img"`)
	p.attr("aria-label", d.summary(bands, total))
	p.raw(` viewBox="0 0 1000 92" preserveAspectRatio="none"><rect class="f-none" width="1000" height="38"/>`)
	// What is short is drawn last, and wide enough to be seen.
	for _, connected := range []bool{true, false} {
		for _, b := range bands {
			if (b.state == "connected") == connected {
				p.band(b.from, b.to, "f-"+b.state, b.state, stateY, stateHeight, x, connected)
			}
		}
	}
	for _, b := range bands {
		if b.carrier != "" {
			p.band(b.from, b.to, "f-"+carrierClass(b.carrier), b.carrier, carrierY, carrierHeight, x, true)
		}
	}
	for i := range d.events {
		if h := &d.events[i]; !h.time().Before(begin) {
			p.mark(h, min(x(h.time()), pictureWidth))
		}
	}
	p.raw(`</svg><div class="axis" aria-hidden="true">`)
	const ticks = 4
	for i := range ticks + 1 {
		t := begin.Add(total / ticks * time.Duration(i))
		p.raw(`<span>`)
		switch {
		case total < 10*time.Second:
			p.text(t.UTC().Format("15:04:05.000"))
		case total > 24*time.Hour:
			p.text(t.UTC().Format("01-02 15:04"))
		default:
			p.text(clock(t))
		}
		p.raw(`</span>`)
	}
	p.raw(`</div>`)
	p.legend(bands, total)
	p.raw(`</figure></section>`)
}

func (p *page) spanLink(v *view, value, name string) {
	if v.span == value {
		p.raw(`<span class="button off" aria-current="true">`, name, `</span> `)
		return
	}
	p.raw(`<a class="button" href="`)
	p.text(v.link("span", value))
	p.raw(`">`, name, `</a> `)
}

func (p *page) band(from, to time.Time, class, name string, y, height float64, x func(time.Time) float64, exact bool) {
	left, right := x(from), x(to)
	if w := right - left; !exact && w < leastWidth {
		left = max(min(left-(leastWidth-w)/2, pictureWidth-leastWidth), 0)
		right = left + leastWidth
	}
	p.raw(`<rect class="`, class, `"`)
	p.numAttr("x", left)
	p.numAttr("width", right-left)
	p.numAttr("y", y)
	p.numAttr("height", height)
	p.raw(`><title>`)
	p.text(name + " for " + span(to.Sub(from)) + ", from " + stamp(from) + " to " + clock(to))
	p.raw(`</title></rect>`)
}

// carrierClass is the colour of a transport.
func carrierClass(transport string) string {
	switch transport {
	case "websocket", "longpoll", "plainpoll":
		return transport
	}
	return "othercarrier"
}

// mark appends an event: failures above, what is good below, so that both are
// seen where they are close.
func (p *page) mark(h *happening, x float64) {
	class, top, bottom := "m-routine", markY+markHeight*3/4, markY+markHeight
	switch severity(h) {
	case good:
		class, top = "m-good", markY+markHeight/2
	case bad:
		class, top, bottom = "m-bad", markY, markY+markHeight/2
	}
	p.raw(`<g class="mark"><title>`)
	p.text(stamp(h.time()) + ": " + h.kind.String())
	if detail := h.detail(); detail != "" {
		p.text(": " + detail)
	}
	p.raw(`</title>`)
	for _, c := range []string{class, "hit"} {
		p.raw(`<line class="`, c, `"`)
		p.numAttr("x1", x)
		p.numAttr("x2", x)
		p.numAttr("y1", top)
		p.numAttr("y2", bottom)
		p.raw(`/>`)
	}
	p.raw(`</g>`)
}

type severities int

const (
	routine severities = iota
	good
	bad
)

func severity(h *happening) severities {
	switch h.kind {
	case holdfast.EventConnected, holdfast.EventUpgraded, holdfast.EventOnline:
		return good
	case holdfast.EventDisconnected, holdfast.EventAttemptFailed, holdfast.EventOffline, holdfast.EventGap, holdfast.EventDropped:
		return bad
	case holdfast.EventClosed:
		if h.closedHere {
			return routine
		}
		return bad
	}
	return routine
}

// legend appends what the colours are, and how long each state was.
func (p *page) legend(bands []band, total time.Duration) {
	p.raw(`<figcaption><ul class="legend">`)
	for _, s := range append(states, unrecorded) {
		if d := inState(bands, s); d > 0 {
			p.raw(`<li><i class="dot s-`, s, `"></i>`, s, ` <b>`)
			p.text(span(d))
			p.raw(`</b> <span class="dim">`)
			p.text(share(float64(d) / float64(total)))
			p.raw(`</span></li>`)
		}
	}
	seen := map[string]bool{}
	for _, b := range bands {
		if class := carrierClass(b.carrier); b.carrier != "" && !seen[b.carrier] {
			seen[b.carrier] = true
			p.raw(`<li><i class="dot f-`, class, `"></i>`)
			p.text(b.carrier)
			p.raw(`</li>`)
		}
	}
	p.raw(`<li><i class="tick m-good"></i>up</li><li><i class="tick m-bad"></i>failure or loss</li><li><i class="tick m-routine"></i>other</li></ul></figcaption>`)
}

func inState(bands []band, state string) (d time.Duration) {
	for _, b := range bands {
		if b.state == state {
			d += b.to.Sub(b.from)
		}
	}
	return d
}

// summary is the picture in words.
func (d *detailed) summary(bands []band, total time.Duration) string {
	text := "In " + span(total) + ":"
	for _, s := range append(states, unrecorded) {
		if t := inState(bands, s); t > 0 {
			text += " " + s + " " + span(t) + " (" + share(float64(t)/float64(total)) + "),"
		}
	}
	return text + " " + strconv.Itoa(len(d.events)) + plural(len(d.events), " event", " events")
}
