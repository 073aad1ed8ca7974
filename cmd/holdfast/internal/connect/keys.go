package connect

import (
	"bytes"
	"io"
	"regexp"
	"sync/atomic"
	"unicode/utf8"
)

// keys is what is typed and pasted, in the form in which lines are edited. Of what
// is pasted it lets no control characters through but ends of lines.
type keys struct {
	in          io.Reader
	pasting     bool
	seen        int     // bytes of the mark that begins or ends a paste
	last        [4]byte // typed
	partial     []byte  // of a character
	ready       []byte
	interrupted atomic.Bool
}

var (
	pasteBegins = []byte("\x1b[200~")
	pasteEnds   = []byte("\x1b[201~")
)

// Read has the terms of io.Reader.
func (k *keys) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, io.ErrShortBuffer // the editor cannot make sense of what is typed
	}
	for len(k.ready) == 0 {
		var buf [256]byte
		n, err := k.in.Read(buf[:])
		for _, c := range buf[:n] {
			k.take(c)
		}
		if len(k.ready) == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(p, k.ready)
	k.ready = k.ready[n:]
	return n, nil
}

// take hears of a byte.
func (k *keys) take(c byte) {
	mark := pasteBegins
	if k.pasting {
		mark = pasteEnds
	}
	if c != mark[k.seen] {
		seen := k.seen
		k.seen = 0
		if k.pasting {
			for _, held := range mark[:seen] {
				k.paste(held)
			}
		}
		if c != mark[0] {
			k.pass(c)
			return
		}
	}
	k.seen++
	if !k.pasting {
		k.pass(c) // a single Esc must not wait
	}
	if k.seen < len(mark) {
		return
	}
	if k.pasting {
		k.ready = append(k.ready, mark...)
	}
	k.pasting, k.seen = !k.pasting, 0
}

func (k *keys) pass(c byte) {
	if k.pasting {
		k.paste(c)
		return
	}
	switch c {
	case ctrlC:
		k.interrupted.Store(true)
	case ctrlT: // it would take characters apart
		return
	}
	k.character(c)
	k.last = [4]byte{k.last[1], k.last[2], k.last[3], c}
	if r := repairAfter(k.last); r != 0 {
		k.ready = utf8.AppendRune(k.ready, r)
	}
}

func (k *keys) paste(c byte) {
	if c >= ' ' && c != 0x7f || c == '\r' || c == '\n' || c == '\t' {
		k.character(c)
	}
}

// character takes a byte of one.
func (k *keys) character(c byte) {
	k.partial = append(k.partial, c)
	for utf8.FullRune(k.partial) {
		r, n := utf8.DecodeRune(k.partial)
		if r != utf8.RuneError { // for which the editor would wait for more, for ever
			k.ready = append(k.ready, edited(string(r))...)
		}
		k.partial = k.partial[n:]
	}
}

// toLeft is how the editor goes to the begin of a row to clear it. It takes each
// character for one column, which some are not; so that is said another way.
var toLeft = regexp.MustCompile("\x1b\\[[0-9]*D\x1b\\[K")

// picture is the terminal's screen. It shows no stand-ins, and no control characters of
// two bytes, which nothing here uses (C1, ISO 6429).
type picture struct{ w io.Writer }

// Write writes all of p, changed so.
func (s picture) Write(p []byte) (int, error) {
	shown := bytes.ReplaceAll(p, []byte(string(tabRune)), []byte(" "))
	shown = bytes.ReplaceAll(shown, []byte(string(fillRune)), nil)
	shown = toLeft.ReplaceAllLiteral(shown, []byte("\r\x1b[K"))
	if bytes.IndexByte(shown, 0xc2) >= 0 {
		shown = bytes.Map(func(r rune) rune {
			if 0x80 <= r && r <= 0x9f {
				return '?'
			}
			return r
		}, shown)
	}
	if _, err := s.w.Write(shown); err != nil {
		return 0, err
	}
	return len(p), nil
}
