package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVisible(t *testing.T) {
	for _, c := range []struct{ in, line, text string }{
		{"plain, grüß, 日本, 👩‍🚀", "plain, grüß, 日本, 👩‍🚀", "plain, grüß, 日本, 👩‍🚀"},
		{"a\x1b[2Jb", `a\x1b[2Jb`, `a\x1b[2Jb`},
		{"a\nb\tc\r", `a\nb\tc\r`, "a\nb\tc" + `\r`},
		{"\u009b31m\u007f", `\u009b31m\x7f`, `\u009b31m\x7f`},
		{"\x9b31m\xff", `\x9b31m\xff`, `\x9b31m\xff`},
		{"a\u202eb\u2066c\u200fd", `a\u202eb\u2066c\u200fd`, `a\u202eb\u2066c\u200fd`},
		{"\uFFFD", "\uFFFD", "\uFFFD"},
	} {
		assert.Equal(t, c.line, Visible(c.in))
		assert.Equal(t, c.text, VisibleText(c.in))
	}
}
