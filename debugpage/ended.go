package debugpage

import (
	"strconv"
	"time"
)

// endedTable appends those that have ended.
func (p *page) endedTable(v *view, g *gathered, now time.Time) {
	p.raw(`<section class="ended"><h2>Ended</h2><p class="range">The last `, strconv.Itoa(maxEnded), ` since the recording began, the youngest end first`)
	if v.filtered() {
		p.raw(`; filtered by words and kind`)
	}
	p.raw(`</p>`)
	if len(g.ended) == 0 {
		p.raw(`<p class="none">None.</p></section>`)
		return
	}
	p.raw(`<table><thead><tr><th scope="col" class="c-id">Id</th><th scope="col" class="c-ago">Ended</th><th scope="col" class="c-transport">Transport</th>` +
		`<th scope="col" class="c-endpoint">Endpoint</th><th scope="col" class="c-sent n">Sent</th><th scope="col" class="c-received n">Received</th>` +
		`<th scope="col" class="c-connects n">Reconnects</th><th scope="col" class="c-age n">Lived</th><th scope="col" class="c-error">Why</th></tr></thead><tbody>`)
	suffix := p.suffix(v)
	for i := range g.ended {
		e := &g.ended[i]
		p.raw(`<tr><td class="c-id"><a href="?id=`, strconv.FormatUint(e.id, 10))
		p.text(suffix)
		p.raw(`">`, strconv.FormatUint(e.id, 10), `</a> <span class="kind">`, e.kind, `</span></td><td class="c-ago"><span`)
		p.attr("title", stamp(e.ended))
		p.raw(`>`)
		p.text(age(now.Sub(e.ended)) + " ago")
		p.raw(`</span></td><td class="c-transport">`)
		p.text(e.stats.Transport)
		p.raw(`</td>`)
		p.endpoint(e)
		p.traffic("c-sent n", "Sent", e.stats.MessagesSent, e.stats.BytesSent)
		p.traffic("c-received n", "Received", e.stats.MessagesReceived, e.stats.BytesReceived)
		p.raw(`<td class="c-connects n" data-name="Reconnects">`)
		p.zeroable(e.reconnects())
		p.raw(`</td><td class="c-age n" data-name="Lived">`)
		p.text(age(e.ended.Sub(e.since)))
		p.raw(`</td>`)
		p.failure(e, e.why)
		p.raw("</tr>\n")
	}
	p.raw(`</tbody></table></section>`)
}
