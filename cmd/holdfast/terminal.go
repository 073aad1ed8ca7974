package main

import (
	"io"
	"os"
)

// minHeight is the least number of lines that the picture needs.
const minHeight = 14

// newView returns the picture for a terminal, and lines for anything else,
// for small terminals and where NO_COLOR is set (https://no-color.org).
func newView(w io.Writer, s settings) view {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return newPlain(w, s)
	}
	width, height, ok := terminalSize(f)
	if !ok || height < minHeight || !enableEscapes(f) {
		return newPlain(w, s)
	}
	return newScreen(w, s, func() int {
		if now, _, ok := terminalSize(f); ok {
			width = now
		}
		return width
	})
}
