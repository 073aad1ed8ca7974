package debugpage

import (
	"slices"
	"strconv"
	"time"
)

// sparkline appends round trips as a picture, from 0 to the longest.
func (p *page) sparkline(rtts []float32) {
	if len(rtts) < 2 {
		return
	}
	p.raw(`<svg class="spark" viewBox="0 0 60 16" preserveAspectRatio="none" role="img"><title>`)
	p.text(spread(rtts))
	p.raw(`</title><polyline points="`)
	p.points(rtts, 60, 16)
	p.raw(`"/></svg>`)
}

// points appends a polyline that fills a picture of that width and height.
func (p *page) points(rtts []float32, width, height float64) {
	top := float64(max(slices.Max(rtts), 1e-6)) * 1.08
	step := width / float64(len(rtts)-1)
	for i, rtt := range rtts {
		if i > 0 {
			p.raw(" ")
		}
		p.num(float64(i) * step)
		p.raw(",")
		p.num(height * (1 - float64(rtt)/top))
	}
}

// spread is the round trips in words.
func spread(rtts []float32) string {
	sorted := slices.Clone(rtts)
	slices.Sort(sorted)
	return "The last " + strconv.Itoa(len(rtts)) + ": " + ms(sorted[0]) + " at least, " + ms(sorted[len(sorted)/2]) + " in the middle, " +
		ms(sorted[len(sorted)-1]) + " at most"
}

func ms(f float32) string { return short(time.Duration(float64(f) * float64(time.Millisecond))) }

// roundTrips appends the picture of one member's.
func (p *page) roundTrips(rtts []float32) {
	p.raw(`<section><h2>Round trips</h2>`)
	if len(rtts) < 2 {
		p.raw(`<p class="none">Fewer than two were measured since the recording began. Each ping that is answered measures one; the server does not ping those who poll.</p></section>`)
		return
	}
	p.raw(`<figure class="rtts"><svg role="img" viewBox="0 0 1000 80" preserveAspectRatio="none"`)
	p.attr("aria-label", spread(rtts))
	p.raw(`><polyline points="`)
	p.points(rtts, 1000, 80)
	p.raw(`"/></svg><figcaption>`)
	p.text(spread(rtts))
	p.raw(`. The picture begins at 0.</figcaption></figure></section>`)
}
