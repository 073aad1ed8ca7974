package debugpage

import (
	"strconv"
	"sync"
	"unicode/utf8"
)

// page is HTML in the making. What it is given with raw is the program's own;
// everything else goes through text.
type page struct{ b []byte }

// maxPooled bounds the memory of a page that is kept for the next one.
const maxPooled = 4 << 20

var pages = sync.Pool{New: func() any { return new(page) }}

func (p *page) free() {
	if cap(p.b) <= maxPooled {
		p.b = p.b[:0]
		pages.Put(p)
	}
}

// raw appends markup.
func (p *page) raw(parts ...string) {
	for _, s := range parts {
		p.b = append(p.b, s...)
	}
}

// text appends a text, for an element or a quoted attribute.
func (p *page) text(s string) {
	from := 0
	for i := 0; i < len(s); {
		c, size := s[i], 1
		replacement := ""
		switch {
		case c == '&':
			replacement = "&amp;"
		case c == '<':
			replacement = "&lt;"
		case c == '>':
			replacement = "&gt;"
		case c == '"':
			replacement = "&#34;"
		case c == '\'':
			replacement = "&#39;"
		case c < ' ' && c != '\t' && c != '\n', c == 0x7f:
			replacement = "\uFFFD"
		case c >= utf8.RuneSelf:
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 || directional(r) {
				replacement = "\uFFFD"
			}
		}
		if replacement != "" {
			p.b = append(p.b, s[from:i]...)
			p.b = append(p.b, replacement...)
			from = i + size
		}
		i += size
	}
	p.b = append(p.b, s[from:]...)
}

// directional says that a character reorders what stands beside it.
func directional(r rune) bool {
	return '\u202A' <= r && r <= '\u202E' || '\u2066' <= r && r <= '\u2069'
}

// attr appends an attribute.
func (p *page) attr(name, value string) {
	p.raw(" ", name, `="`)
	p.text(value)
	p.raw(`"`)
}

// num appends a number for SVG, with at most one digit behind the point.
func (p *page) num(f float64) {
	start := len(p.b)
	p.b = strconv.AppendFloat(p.b, f, 'f', 1, 64)
	if n := len(p.b); n-start > 2 && p.b[n-1] == '0' {
		p.b = p.b[:n-2]
	}
}

// numAttr appends an attribute of SVG.
func (p *page) numAttr(name string, f float64) {
	p.raw(" ", name, `="`)
	p.num(f)
	p.raw(`"`)
}
