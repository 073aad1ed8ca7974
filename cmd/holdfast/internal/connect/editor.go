package connect

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"golang.org/x/term"
)

const (
	prompt     = "> "
	promptMore = "… "
)

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
	t.AutoCompleteCallback = repair
	return &editor{t, k}
}

// line returns the next line; pasted says that it was, with its end. The error is
// io.EOF for Ctrl-D and errInterrupted for Ctrl-C.
func (e *editor) line() (line string, pasted bool, err error) {
	line, err = e.ReadLine()
	if errors.Is(err, term.ErrPasteIndicator) {
		pasted, err = true, nil
	}
	if errors.Is(err, io.EOF) && e.keys.interrupted.Load() {
		err = errInterrupted
	}
	return entered(line), pasted, err
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
