package demo

import (
	"io"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// minHeight is the least number of lines that the picture needs.
const minHeight = 14

// newView returns the picture for a terminal, and lines for anything else and
// for small terminals.
func newView(w io.Writer, s settings) view {
	f, ok := cli.Terminal(w)
	if !ok {
		return newPlain(w, s)
	}
	width, height, ok := cli.TerminalSize(f)
	if !ok || height < minHeight {
		return newPlain(w, s)
	}
	return newScreen(w, s, func() int {
		if now, _, ok := cli.TerminalSize(f); ok {
			width = now
		}
		return width
	})
}
