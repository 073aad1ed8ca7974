package debugpage

import (
	"strconv"
	"strings"
	"time"
)

// list appends the page that shows all.
func (p *page) list(h *handler, v *view, g *gathered, now time.Time) {
	p.begin(v, h.opts.Title+": "+count(g.all.total)+" connections")
	p.raw("<main id=\"main\">")
	p.top(h, v, func() { p.text(h.opts.Title) }, now)
	p.overview(v, g)
	p.filter(v, g)
	p.table(v, g, now)
	p.endedTable(v, g, now)
	p.raw("</main>\n")
	p.finish(h)
}

// columns of the table: the field to sort by, the heading, and its class. The
// first click on a number sorts downwards.
var columns = []struct {
	sort, name, class string
	down              bool
}{
	{"id", "Id", "c-id", false}, {"state", "State", "c-state", false}, {"transport", "Transport", "c-transport", false},
	{"endpoint", "Endpoint", "c-endpoint", false}, {"rtt", "Round trip", "c-rtt n", true}, {"queue", "Send buffer", "c-queue n", true},
	{"sent", "Sent", "c-sent n", true}, {"received", "Received", "c-received n", true}, {"connects", "Reconn.", "c-connects n", true},
	{"age", "Age", "c-age n", true}, {"error", "Last error", "c-error", true},
}

func (p *page) headings(v *view) {
	p.raw(`<thead><tr>`)
	for _, c := range columns {
		p.raw(`<th scope="col" class="`, c.class, `"`)
		down := c.down
		if v.sort == c.sort {
			down = !v.down
			p.raw(` aria-sort="`, map[bool]string{false: "ascending", true: "descending"}[v.down], `"`)
		}
		sort := c.sort
		if down {
			sort = "-" + sort
		}
		p.raw(`><a href="`)
		p.text(v.link("sort", sort))
		p.raw(`">`, c.name, `</a></th>`)
	}
	p.raw(`</tr></thead>`)
}

// table appends those that live.
func (p *page) table(v *view, g *gathered, now time.Time) {
	p.raw(`<section><h2>Live</h2>`)
	p.extent(v, g)
	if len(g.list) == 0 {
		p.raw(`<p class="none">`)
		if g.all.total == 0 {
			p.raw(`This process has no Conn and no Session now.`)
		} else {
			p.raw(`The filter lets none of them through.`)
		}
		p.raw(`</p></section>`)
		return
	}
	p.raw(`<table>`)
	p.headings(v)
	p.raw(`<tbody>`)
	suffix := p.suffix(v)
	for i := range g.list {
		p.row(&g.list[i], suffix, now)
	}
	p.raw(`</tbody></table>`)
	if g.pages > 1 {
		p.extent(v, g)
	}
	p.raw(`</section>`)
}

// suffix is what follows the id in a link to a member, so that it leads back to
// the list as it was.
func (p *page) suffix(v *view) string {
	if len(v.values) == 0 {
		return ""
	}
	return "&" + v.link("id", "")[1:]
}

// extent appends which part of the list is shown, and links to the others.
func (p *page) extent(v *view, g *gathered) {
	p.raw(`<p class="range">`)
	switch from := (g.page - 1) * v.per; {
	case g.matched == 0:
		p.raw(`None`)
	case g.pages == 1:
		p.text("All " + count(g.matched))
	default:
		p.text(count(from+1) + " to " + count(from+len(g.list)) + " of " + count(g.matched))
	}
	if v.filtered() {
		p.text(" that match")
	}
	if g.pages > 1 {
		p.raw(` <span class="pages">`)
		p.turn(v, g, "First", 1)
		p.turn(v, g, "Previous", g.page-1)
		p.turn(v, g, "Next", g.page+1)
		p.turn(v, g, "Last", g.pages)
		p.raw(`</span>`)
	}
	p.raw(`</p>`)
}

func (p *page) turn(v *view, g *gathered, name string, to int) {
	if to < 1 || to > g.pages || to == g.page {
		p.raw(`<span class="button off">`, name, `</span> `)
		return
	}
	p.raw(`<a class="button" href="`)
	p.text(v.link("page", strconv.Itoa(to)))
	p.raw(`">`, name, `</a> `)
}

func (p *page) row(e *entry, suffix string, now time.Time) {
	s := &e.stats
	p.raw(`<tr><td class="c-id"><a href="?id=`, strconv.FormatUint(e.id, 10))
	p.text(suffix)
	p.raw(`">`, strconv.FormatUint(e.id, 10), `</a> <span class="kind">`, e.kind, `</span></td><td class="c-state">`)
	p.state(stateName(s.State))
	if !s.ConnectedSince.IsZero() {
		p.raw(` <span class="dim">`)
		p.text(age(now.Sub(s.ConnectedSince)))
		p.raw(`</span>`)
	} else if s.ConsecutiveFailures > 0 {
		p.raw(` <span class="dim">`)
		p.text(count(s.ConsecutiveFailures) + plural(int(s.ConsecutiveFailures), " failure", " failures"))
		p.raw(`</span>`)
	}
	p.raw(`</td><td class="c-transport">`)
	p.text(s.Transport)
	p.raw(`</td>`)
	p.endpoint(e)
	p.raw(`<td class="c-rtt n" data-name="Round trip">`)
	if s.RTT > 0 {
		p.text(short(s.RTT))
	} else {
		p.raw(`<span class="zero">–</span>`)
	}
	p.sparkline(e.rtts)
	p.raw(`</td><td class="c-queue n" data-name="Send buffer">`)
	p.queue(e)
	p.raw(`</td>`)
	p.traffic("c-sent n", "Sent", s.MessagesSent, s.BytesSent)
	p.traffic("c-received n", "Received", s.MessagesReceived, s.BytesReceived)
	p.raw(`<td class="c-connects n" data-name="Reconnects">`)
	p.zeroable(e.reconnects())
	p.raw(`</td><td class="c-age n" data-name="Age">`)
	p.text(age(now.Sub(e.since)))
	p.raw(`</td>`)
	p.failure(e, e.lastError())
	p.raw("</tr>\n")
}

// state appends a state's name with its colour.
func (p *page) state(name string) {
	p.raw(`<span class="state"><i class="dot s-`, name, `"></i>`, name, `</span>`)
}

func (p *page) endpoint(e *entry) {
	p.raw(`<td class="c-endpoint"><span class="cut lines"`)
	p.attr("title", clip(e.stats.Endpoint))
	p.raw(`>`)
	p.text(clip(e.stats.Endpoint))
	p.raw(`</span>`)
	if who := e.who(); who != "" {
		p.raw(`<span class="cut dim"`)
		p.attr("title", who)
		p.raw(`>`)
		p.text(who)
		p.raw(`</span>`)
	}
	p.raw(`</td>`)
}

// who is the other end of a session.
func (e *entry) who() string {
	if e.principal != "" && e.remote != "" {
		return e.principal + " from " + e.remote
	}
	if e.remote != "" {
		return "from " + e.remote
	}
	return e.principal
}

func (p *page) queue(e *entry) {
	s := &e.stats
	if s.Queued == 0 && s.Unacknowledged == 0 && s.Dropped == 0 {
		p.raw(`<span class="zero">empty</span>`)
		return
	}
	p.text(count(s.Queued) + plural(s.Queued, " message", " messages"))
	p.raw(` <span class="dim">`)
	p.text(size(s.QueuedBytes) + ", " + share(e.share()))
	p.raw(`</span>`)
	p.meter(e.share())
	if s.Dropped > 0 {
		p.raw(` <span class="bad">`)
		p.text(count(s.Dropped) + " dropped")
		p.raw(`</span>`)
	}
}

// meter appends a share as a picture.
func (p *page) meter(f float64) {
	class := "f-connected"
	if f >= 0.9 {
		class = "f-bad"
	} else if f >= 0.5 {
		class = "f-waiting"
	}
	p.raw(`<svg class="meter" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="f-none" width="100" height="4"/><rect class="`, class, `" height="4"`)
	p.numAttr("width", f*100)
	p.raw(`/></svg>`)
}

func (p *page) traffic(class, name string, messages, bytes uint64) {
	p.raw(`<td class="`, class, `" data-name="`, name, `">`)
	p.zeroable(messages)
	if bytes > 0 {
		p.raw(` <span class="dim">`)
		p.text(size(bytes))
		p.raw(`</span>`)
	}
	p.raw(`</td>`)
}

func (p *page) zeroable(n uint64) {
	if n == 0 {
		p.raw(`<span class="zero">0</span>`)
		return
	}
	p.text(count(n))
}

// failure appends an error, without the endpoint that stands beside it.
func (p *page) failure(e *entry, text string) {
	p.raw(`<td class="c-error" data-name="Last error">`)
	if text != "" {
		p.raw(`<span class="cut lines"`)
		p.attr("title", text)
		p.raw(`>`)
		p.text(strings.TrimPrefix(message(text), "dial "+e.stats.Endpoint+": "))
		p.raw(`</span>`)
	}
	p.raw(`</td>`)
}
