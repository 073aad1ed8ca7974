package connect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	prompt     = "> "
	promptMore = "… "
)

// A tab takes one place while a line is edited, as everything else does: this
// character stands for it.
const tabRune = '\ue009'

func withoutTabs(s string) string { return strings.ReplaceAll(s, "\t", string(tabRune)) }
func withTabs(s string) string    { return strings.ReplaceAll(s, string(tabRune), "\t") }

// errInterrupted is Ctrl-C.
var errInterrupted = errors.New("interrupted")

// editor reads lines from a terminal in raw mode. What is written to it goes above
// the line that is being typed.
type editor struct {
	*term.Terminal
	keys *keys
}

func newEditor(in io.Reader, out io.Writer, h term.History) *editor {
	k := &keys{in: in}
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{k, picture{out}}, prompt)
	t.History = h
	return &editor{t, k}
}

// line returns the next line; pasted says that it was, with its end. The error is
// io.EOF for Ctrl-D and errInterrupted for Ctrl-C.
func (e *editor) line() (line string, pasted bool, err error) {
	line, err = e.ReadLine()
	if err == term.ErrPasteIndicator {
		pasted, err = true, nil
	}
	if err == io.EOF && e.keys.interrupted.Load() {
		err = errInterrupted
	}
	return withTabs(line), pasted, err
}

// entry is line, or, for JSON, as many lines as it takes; an empty one ends it.
func (e *editor) entry(isJSON bool) (text string, pasted bool, err error) {
	text, pasted, err = e.line()
	for isJSON && err == nil && unfinished(text) {
		e.SetPrompt(promptMore)
		var line string
		if line, _, err = e.line(); line == "" {
			break
		}
		text += "\n" + line
	}
	e.SetPrompt(prompt)
	return text, pasted, err
}

// unfinished says whether a text begins an object or array of JSON, and more has
// to follow.
func unfinished(text string) bool {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed[0] != '{' && trimmed[0] != '[' {
		return false
	}
	var v json.RawMessage
	err := json.NewDecoder(strings.NewReader(text)).Decode(&v)
	return errors.Is(err, io.ErrUnexpectedEOF)
}

// keys is what is typed and pasted. Of what is pasted it lets no control
// characters through but ends of lines, and tabs as tabRune.
type keys struct {
	in          io.Reader
	pasting     bool
	seen        int // bytes of the mark that begins or ends a paste
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
		k.ready = append(k.ready, c) // a single Esc must not wait
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
	if c == 3 { // Ctrl-C
		k.interrupted.Store(true)
	}
	k.ready = append(k.ready, c)
}

func (k *keys) paste(c byte) {
	switch {
	case c == '\t':
		k.ready = utf8.AppendRune(k.ready, tabRune)
	case c >= ' ' && c != 0x7f, c == '\r', c == '\n':
		k.ready = append(k.ready, c)
	}
}

// toLeft is how the editor goes to the begin of a row to clear it. It takes each
// character for one column, which some are not; so that is said another way.
var toLeft = regexp.MustCompile("\x1b\\[[0-9]*D\x1b\\[K")

// picture is the terminal's screen. It shows tabRune as a space, and no control
// characters of two bytes, which nothing here uses (C1, ISO 6429).
type picture struct{ w io.Writer }

// Write writes all of p, changed so.
func (s picture) Write(p []byte) (int, error) {
	shown := bytes.ReplaceAll(p, []byte(string(tabRune)), []byte(" "))
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
