package debugpage

import (
	"maps"
	"slices"
	"strconv"
)

// overview appends the counts of all, each a filter.
func (p *page) overview(v *view, g *gathered) {
	p.raw(`<nav class="counts" aria-label="All by state, kind and transport"><p class="total"><b>`)
	p.text(count(g.all.total))
	p.raw(`</b> `)
	p.text(plural(g.all.total, "connection", "connections"))
	p.raw(`</p>`)
	p.stateBar(&g.all)
	p.raw(`<ul>`)
	for _, s := range states[:5] {
		if n := g.all.state[s]; n > 0 || s == "connected" {
			p.chip(v, "state", s, "dot s-"+s, s, n)
		}
	}
	p.raw(`</ul><ul>`)
	for _, k := range kinds {
		if n := g.all.kind[k]; n > 0 {
			p.chip(v, "kind", k, "", plural(n, kindName[k][0], kindName[k][1]), n)
		}
	}
	p.raw(`</ul><ul>`)
	for _, t := range slices.Sorted(maps.Keys(g.all.transport)) {
		if t != "" {
			p.chip(v, "transport", t, "", t, g.all.transport[t])
		}
	}
	p.raw(`</ul></nav>`)
}

var kindName = map[string][2]string{kindConn: {"Conn", "Conns"}, kindSession: {"Session", "Sessions"}}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// chip appends a count that is a link: it sets the filter, or takes it off.
func (p *page) chip(v *view, field, value, dot, name string, n int) {
	p.raw(`<li><a class="chip" href="`)
	if v.values.Get(field) == value {
		p.text(v.link(field, ""))
		p.raw(`" aria-current="true">`)
	} else {
		p.text(v.link(field, value))
		p.raw(`">`)
	}
	if dot != "" {
		p.raw(`<i class="`, dot, `"></i>`)
	}
	p.raw(`<b>`)
	p.text(count(n))
	p.raw(`</b> `)
	p.text(name)
	p.raw(`</a></li>`)
}

// stateBar appends the shares of the states as a picture.
func (p *page) stateBar(c *counts) {
	p.raw(`<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">`)
	x := 0.0
	for _, s := range states {
		n := c.state[s]
		if n == 0 {
			continue
		}
		w := float64(n) / float64(c.total) * 1000
		p.raw(`<rect class="f-`, s, `" height="10"`)
		p.numAttr("x", x)
		p.numAttr("width", w)
		p.raw(`/>`)
		x += w
	}
	p.raw(`</svg>`)
}

// filter appends the form.
func (p *page) filter(v *view, g *gathered) {
	p.raw(`<form class="filter" method="get" role="search"><label class="wide">Words <input type="search" name="q" maxlength="200" placeholder="endpoint, error, session, address" autocomplete="off" spellcheck="false"`)
	p.attr("value", v.query)
	p.raw(`></label>`)
	p.choice("State", "state", v.state, stateFilters)
	transports := []string{}
	for t := range maps.Keys(g.all.transport) {
		if t != "" {
			transports = append(transports, t)
		}
	}
	if v.transport != "" && v.transport != noTransport && !slices.Contains(transports, v.transport) {
		transports = append(transports, v.transport)
	}
	slices.Sort(transports)
	p.choice("Transport", "transport", v.transport, append(transports, noTransport))
	p.choice("Kind", "kind", v.kind, kinds)
	p.choice("Rows", "per", v.values.Get("per"), []string{"25", "100", "250", "1000"})
	for _, kept := range []string{"sort", "refresh"} {
		if value := v.values.Get(kept); value != "" {
			p.raw(`<input type="hidden" name="`, kept, `"`)
			p.attr("value", value)
			p.raw(`>`)
		}
	}
	p.raw(`<span class="buttons"><button>Filter</button>`)
	if v.filtered() {
		p.raw(` <a class="button" href="`)
		p.text(v.link("q", "", "state", "", "transport", "", "kind", ""))
		p.raw(`">Show all</a>`)
	}
	p.raw(`</span></form>`)
}

func (p *page) choice(label, name, value string, list []string) {
	p.raw(`<label>`, label, ` <select name="`, name, `"><option value="">`)
	if name == "per" {
		p.text(strconv.Itoa(defaultPer))
		list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == strconv.Itoa(defaultPer) })
		if value != "" && value != strconv.Itoa(defaultPer) && !slices.Contains(list, value) {
			list = append(list, value)
		}
	} else {
		p.raw(`any`)
	}
	p.raw(`</option>`)
	for _, o := range list {
		p.raw(`<option`)
		if o == value {
			p.raw(` selected`)
		}
		p.raw(`>`)
		p.text(o)
		p.raw(`</option>`)
	}
	p.raw(`</select></label>`)
}
