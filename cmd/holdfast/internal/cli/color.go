package cli

import (
	"io"
	"os"
)

// Palette says whether there are colours.
type Palette bool

// Color is an SGR parameter (ECMA-48, section 8.3.117).
type Color string

// The colours in use, which the terminal's own theme decides.
const (
	Bold   Color = "1"
	Dim    Color = "2"
	Red    Color = "31"
	Green  Color = "32"
	Yellow Color = "33"
	Blue   Color = "34"
	Purple Color = "35"
	Cyan   Color = "36"
)

// Paint returns s in the colour c, or s.
func (p Palette) Paint(c Color, s string) string {
	if !p || c == "" || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// Screen returns the terminal that w is, if it is one that understands escape
// sequences.
func Screen(w io.Writer) (f *os.File, ok bool) {
	f, ok = w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return nil, false
	}
	if _, _, ok := TerminalSize(f); !ok || !enableEscapes(f) {
		return nil, false
	}
	return f, true
}

// Terminal is Screen, unless NO_COLOR is set (https://no-color.org).
func Terminal(w io.Writer) (f *os.File, ok bool) {
	if os.Getenv("NO_COLOR") != "" {
		return nil, false
	}
	return Screen(w)
}

// PaletteFor returns the colours of w: none unless it is a Terminal.
func PaletteFor(w io.Writer) Palette {
	_, ok := Terminal(w)
	return Palette(ok)
}
