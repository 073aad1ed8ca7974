package debugpage

import (
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// begin appends what every page begins with.
func (p *page) begin(v *view, title string) {
	p.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
	p.raw(`<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>`)
	p.text(title)
	p.raw(`</title><link rel="icon" href="`)
	p.text(icon.url())
	p.raw(`"><link rel="stylesheet" href="`)
	p.text(style.url())
	p.raw(`">`)
	if v.refresh > 0 {
		seconds := strconv.Itoa(int(v.refresh / time.Second))
		p.raw(`<noscript><meta http-equiv="refresh" content="`, seconds, `"></noscript><script defer src="`)
		p.text(script.url())
		p.raw(`" data-refresh="`, seconds, `"></script>`)
	}
	p.raw("</head>\n<body>")
}

// top appends the heading, when this is, and what refreshes it.
func (p *page) top(h *handler, v *view, heading func(), now time.Time) {
	p.raw(`<header><h1>`)
	heading()
	p.raw(`</h1><p class="clock"><span class="live" id="live">`)
	p.text(stamp(now))
	p.raw(`</span> `)
	if v.refresh > 0 {
		p.raw(`<span>refreshes every `)
		p.text(span(v.refresh))
		p.raw(`</span> <a class="button" href="`)
		p.text(v.link("refresh", "off"))
		p.raw(`">Stop</a>`)
	} else {
		p.raw(`<a class="button" href="`)
		p.text(v.link())
		p.raw(`">Refresh</a>`)
		if h.opts.Refresh > 0 {
			p.raw(` <a class="button" href="`)
			p.text(v.link("refresh", ""))
			p.raw(`">Refresh by itself</a>`)
		}
	}
	p.raw(` <a class="button" href="`)
	p.text(v.link("format", "json"))
	p.raw(`">JSON</a></p></header>`)
}

// finish appends what every page ends with.
func (p *page) finish(h *handler) {
	p.raw(`<footer>Events and round trips are recorded since `)
	p.text(stamp(h.rec.since))
	p.raw(`: of each the last `, strconv.Itoa(maxEvents), ` events and `, strconv.Itoa(maxRTTs), ` round trips. Times are UTC. Endpoints have no query values.</footer></body></html>`+"\n")
}

// stateName is the name of a state that has a colour.
func stateName(s holdfast.State) string {
	if name := s.String(); slices.Contains(states, name) {
		return name
	}
	return states[len(states)-1]
}
