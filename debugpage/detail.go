package debugpage

import (
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// detail appends the page of one member.
func (p *page) detail(h *handler, v *view, d *detailed, now time.Time) {
	id := strconv.FormatUint(d.id, 10)
	p.begin(v, d.kind+" "+id+": "+d.stats.State.String()+" · "+h.opts.Title)
	p.raw(`<main id="main">`)
	p.top(h, v, func() {
		p.raw(`<a href="`)
		p.text(v.link("id", "", "span", ""))
		p.raw(`">`)
		p.text(h.opts.Title)
		p.raw(`</a> › `)
		p.text(strings.ToUpper(d.kind[:1]) + d.kind[1:] + " " + id)
		p.raw(` `)
		p.state(stateName(d.stats.State))
	}, now)
	p.facts(d, now)
	p.timeline(v, d, now)
	p.roundTrips(d.entry.rtts)
	p.events(d, now)
	p.raw("</main>\n")
	p.finish(h)
}

// unknown appends the page for an id that is nobody's.
func (p *page) unknown(h *handler, v *view) {
	p.begin(v, "Unknown · "+h.opts.Title)
	p.raw(`<main id="main"><header><h1><a href="`)
	p.text(v.link("id", "", "span", ""))
	p.raw(`">`)
	p.text(h.opts.Title)
	p.raw(`</a></h1></header><p class="none">`)
	p.text(unknownMember(v.id))
	p.raw("</p></main>\n")
	p.finish(h)
}

// facts appends what is known of a member now, or was at its end.
func (p *page) facts(d *detailed, now time.Time) {
	s := &d.stats
	p.raw(`<dl class="facts">`)
	if !d.ended.IsZero() {
		p.fact("Ended", stamp(d.ended), age(now.Sub(d.ended))+" ago")
		p.wide("Why", message(d.why))
	}
	p.wide("Endpoint", clip(s.Endpoint))
	transport := s.Transport
	if transport == "" {
		transport = "none"
	}
	connected := ""
	if !s.ConnectedSince.IsZero() {
		connected = "for " + age(now.Sub(s.ConnectedSince))
	}
	p.fact("Transport", transport, connected)
	p.optional("Subprotocol", d.subprotocol)
	p.optional("Session", d.session)
	p.optional("Principal", d.principal)
	p.optional("From", d.remote)
	lived := age(now.Sub(d.since)) + " ago"
	if !d.ended.IsZero() {
		lived = "lived " + age(d.ended.Sub(d.since))
	}
	p.fact("Made", stamp(d.since), lived)
	if s.RTT > 0 {
		p.fact("Round trip", short(s.RTT), "")
	}
	attempts := ""
	if d.kind == kindConn {
		attempts = count(s.Attempts) + plural(int(s.Attempts), " attempt", " attempts")
		if s.ConsecutiveFailures > 0 {
			attempts += ", " + count(s.ConsecutiveFailures) + plural(int(s.ConsecutiveFailures), " failure", " failures") + " counted by Retry"
		}
	}
	p.fact("Links", count(s.Connects), attempts)
	p.fact("Epoch", count(s.Epoch), "")
	p.fact("Sent", count(s.MessagesSent), size(s.BytesSent))
	p.fact("Received", count(s.MessagesReceived), size(s.BytesReceived))
	limits := ""
	if s.QueueLimit > 0 {
		limits = "of " + count(s.QueueLimit) + " and " + size(s.QueueBytesLimit) + " at most: " + share(d.share())
	}
	p.fact("Send buffer", count(s.Queued)+plural(s.Queued, " message, ", " messages, ")+size(s.QueuedBytes), limits)
	p.fact("Unacknowledged", count(s.Unacknowledged), "")
	p.fact("Waiting for Receive", count(s.ReceiveQueued), size(s.ReceiveQueuedBytes))
	p.fact("Dropped", count(s.Dropped), "")
	p.fact("Unknown fate", count(s.Unknown), "")
	if text := d.lastError(); text != "" && message(text) != message(d.why) {
		p.wide("Last error", message(text))
	}
	p.raw(`</dl>`)
}

func (p *page) fact(name, value, more string) {
	p.raw(`<div><dt>`, name, `</dt><dd>`)
	p.text(value)
	if more != "" {
		p.raw(` <span class="dim">`)
		p.text(more)
		p.raw(`</span>`)
	}
	p.raw(`</dd></div>`)
}

func (p *page) optional(name, value string) {
	if value != "" {
		p.fact(name, value, "")
	}
}

func (p *page) wide(name, value string) {
	p.raw(`<div class="wide"><dt>`, name, `</dt><dd>`)
	p.text(value)
	p.raw(`</dd></div>`)
}

// detail is what an event says beyond its kind, state and transport.
func (h *happening) detail() string {
	var parts []string
	if h.attempt > 0 {
		parts = append(parts, "attempt "+strconv.Itoa(h.attempt))
	}
	if h.delay > 0 {
		parts = append(parts, "for "+span(h.delay))
	}
	if h.resumed {
		parts = append(parts, "resumed")
	}
	if h.count > 0 {
		what := plural(h.count, " message", " messages")
		if h.kind == holdfast.EventGap {
			what = plural(h.count, " frame", " frames")
		}
		parts = append(parts, count(h.count)+what)
	}
	if h.err != "" {
		parts = append(parts, message(h.err))
	}
	return strings.Join(parts, ", ")
}

// events appends the table of events, the last one first.
func (p *page) events(d *detailed, now time.Time) {
	p.raw(`<section><h2>Events</h2><p class="range">`)
	p.text("The last " + strconv.Itoa(len(d.events)) + ", the youngest first")
	if d.forgotten > 0 {
		p.text("; " + count(d.forgotten) + " before them are forgotten")
	}
	p.raw(`</p>`)
	if len(d.events) == 0 {
		p.raw(`<p class="none">None since the recording began.</p></section>`)
		return
	}
	p.raw(`<table class="events"><thead><tr><th scope="col" class="c-time">Time</th><th scope="col" class="c-after n">After</th><th scope="col" class="c-event">Event</th>` +
		`<th scope="col" class="c-state">State</th><th scope="col" class="c-transport">Transport</th><th scope="col" class="c-detail">Detail</th></tr></thead><tbody>`)
	for i := len(d.events) - 1; i >= 0; i-- {
		h := &d.events[i]
		p.raw(`<tr><td class="c-time"><span`)
		p.attr("title", h.time().UTC().Format(time.RFC3339Nano))
		p.raw(`>`)
		layout := "15:04:05.000"
		if y, m, day := h.time().UTC().Date(); now.UTC().Day() != day || now.UTC().Month() != m || now.UTC().Year() != y {
			layout = "2006-01-02 15:04:05.000"
		}
		p.text(h.time().UTC().Format(layout))
		p.raw(`</span></td><td class="c-after n dim">`)
		if i > 0 {
			p.text("+" + span(h.time().Sub(d.events[i-1].time())))
		}
		p.raw(`</td><td class="c-event `, [...]string{"", "good", "bad"}[severity(h)], `">`)
		p.text(h.kind.String())
		p.raw(`</td><td class="c-state">`)
		p.state(stateName(h.state))
		p.raw(`</td><td class="c-transport">`)
		p.text(h.transport)
		p.raw(`</td><td class="c-detail">`)
		p.text(h.detail())
		if h.endpoint != "" && h.endpoint != clip(d.stats.Endpoint) {
			p.raw(` <span class="dim">`)
			p.text(h.endpoint)
			p.raw(`</span>`)
		}
		p.raw("</td></tr>\n")
	}
	p.raw(`</tbody></table></section>`)
}
