package connect

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// What a terminal gets of a message at most.
const (
	maxShownText = 64 << 10
	maxShownDump = 4 << 10
)

// screen shows messages and states. A terminal gets nothing that could drive it.
type screen struct {
	json     bool
	quiet    bool
	terminal bool // messages go to one
	colors   cli.Palette
	notes    cli.Palette // the colours of states

	mu       sync.Mutex
	out, err io.Writer
	failed   error // of out, the first one
}

// newScreen shows on the streams of the command.
func newScreen(set *settings, s cli.Streams) *screen {
	_, terminal := cli.Screen(s.Out)
	return &screen{json: set.form == formJSON, quiet: set.quiet, terminal: terminal,
		colors: cli.PaletteFor(s.Out), notes: cli.PaletteFor(s.Err), out: s.Out, err: s.Err}
}

// redirect makes everything go elsewhere from now on; before that it calls f.
func (s *screen) redirect(out, err io.Writer, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f != nil {
		f()
	}
	s.out, s.err = out, err
}

// state shows what the connection does, in one line, unless it is to be quiet.
func (s *screen) state(format string, args ...any) {
	if !s.quiet {
		s.note(cli.Dim, fmt.Sprintf(format, args...))
	}
}

// fail shows an error.
func (s *screen) fail(err error) { s.note(cli.Red, "holdfast connect: "+inner(err)) }

// note writes a line of its own.
func (s *screen) note(c cli.Color, line string) {
	line = s.notes.Paint(c, cli.Visible(line)) + "\n"
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.err, line)
}

// answer shows what a command of the line tells.
func (s *screen) answer(lines string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.err, lines+"\n")
}

// message shows one that has arrived.
func (s *screen) message(m holdfast.Message) error {
	var b strings.Builder
	switch pretty, ok := s.pretty(m); {
	case s.terminal && ok:
		b.WriteString(pretty)
	case s.terminal && m.Type == holdfast.Binary:
		b.WriteString(dump(m.Data))
	case s.terminal:
		b.WriteString(text(m.Data))
	case ok:
		b.WriteString(pretty)
	default:
		b.WriteString(plain(m))
	}
	line := b.String() + "\n"
	if s.terminal {
		line = s.colors.Paint(cli.Cyan, "<") + " " + strings.ReplaceAll(b.String(), "\n", "\n  ") + "\n"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := io.WriteString(s.out, line)
	if s.failed == nil {
		s.failed = err
	}
	return err
}

// pretty is a message as indented JSON, if it is to be, and is JSON.
func (s *screen) pretty(m holdfast.Message) (string, bool) {
	if !s.json || s.terminal && len(m.Data) > maxShownText || !utf8.Valid(m.Data) || !json.Valid(m.Data) {
		return "", false
	}
	var b bytes.Buffer
	if json.Indent(&b, bytes.TrimSpace(m.Data), "", "  ") != nil {
		return "", false
	}
	if !s.terminal {
		return b.String(), true
	}
	return colorJSON(b.String(), s.colors), true
}

// text is a text message as a terminal shows it.
func text(data []byte) string {
	more := ""
	if n := len(data) - maxShownText; n > 0 {
		data = data[:maxShownText]
		for len(data) > 0 && !endsRune(data) {
			data = data[:len(data)-1]
		}
		more = fmt.Sprintf("\n… about %d bytes more; --record keeps all", n)
	}
	return cli.VisibleText(string(data)) + more
}

// endsRune says whether data ends with a whole character.
func endsRune(data []byte) bool {
	r, n := utf8.DecodeLastRune(data)
	return r != utf8.RuneError || n > 1
}

// dump is a binary message as a terminal shows it.
func dump(data []byte) string {
	shown := data[:min(len(data), maxShownDump)]
	s := fmt.Sprintf("binary, %d bytes", len(data))
	if len(shown) > 0 {
		s += "\n" + strings.TrimSuffix(hex.Dump(shown), "\n")
	}
	if n := len(data) - len(shown); n > 0 {
		s += fmt.Sprintf("\n… %d bytes more; --record keeps all", n)
	}
	return s
}

// colorJSON paints valid JSON, and makes it safe for a terminal.
func colorJSON(s string, p cli.Palette) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		start := i
		switch c := s[i]; {
		case c == '"':
			for i++; s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			i++
			color := cli.Green
			if strings.HasPrefix(s[i:], ":") {
				color = cli.Blue
			}
			b.WriteString(p.Paint(color, cli.Visible(s[start:i])))
		case strings.IndexByte("{}[],: \n", c) >= 0:
			b.WriteByte(c)
			i++
		default: // a number, or true, false, null
			for i < len(s) && strings.IndexByte("]},: \n", s[i]) < 0 {
				i++
			}
			color := cli.Purple
			if c == '-' || '0' <= c && c <= '9' {
				color = cli.Yellow
			}
			b.WriteString(p.Paint(color, cli.Visible(s[start:i])))
		}
	}
	return b.String()
}
