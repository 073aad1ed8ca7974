package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible returns s as one line that cannot drive a terminal: control characters
// and those that turn the direction of text are written as escapes, such as \x1b,
// and so are bytes that are not UTF-8.
func Visible(s string) string { return visible(s, false) }

// VisibleText is Visible, but lines and tabs stay.
func VisibleText(s string) string { return visible(s, true) }

func visible(s string, lines bool) string {
	clean := func(r rune) bool { return r != utf8.RuneError && !Hidden(r) || lines && (r == '\n' || r == '\t') }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case clean(r) || r == utf8.RuneError:
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

// Hidden says whether a character is a control character, which a terminal may
// obey, or one that changes how its neighbours are shown.
func Hidden(r rune) bool {
	switch {
	case unicode.IsControl(r), // C0, DEL, C1
		r == 0x061c, r == 0x200e, r == 0x200f, // marks of direction
		0x2028 <= r && r <= 0x202e, // separators, embeddings and overrides
		0x2066 <= r && r <= 0x2069: // isolates
		return true
	}
	return false
}
