package connect

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

const (
	maxHistory     = 1000
	maxHistoryLine = 16 << 10
	maxHistoryFile = 8 << 20
)

// history is the lines that were entered, the oldest first, in memory and in a
// file. It is the term.History of the editor, whose lines have stand-ins.
type history struct {
	mu    sync.Mutex
	lines []string
	file  *os.File // nil: kept in memory alone
}

// historyFile is where the history is kept.
func historyFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "holdfast", "history"), nil
}

// openHistory reads the file, makes it where there is none, and keeps it below its
// bound. The history works, for this run, with an error too.
func openHistory(name string) (*history, error) {
	h := &history{}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return h, fileError(err)
	}
	data, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return h, fileError(err)
	}
	data = data[max(0, len(data)-maxHistoryFile):]
	all := 0
	for line := range bytes.Lines(data) {
		all++
		h.remember(strings.TrimSuffix(string(line), "\n"))
	}
	if all > 2*maxHistory || len(data) == maxHistoryFile {
		if err := h.rewrite(name); err != nil {
			return h, fileError(err)
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		err = f.Chmod(0o600)
	}
	if err != nil {
		return h, fileError(err)
	}
	h.file = f
	return h, nil
}

// rewrite puts a file with the present lines in the place of the old one.
func (h *history) rewrite(name string) error {
	f, err := os.CreateTemp(filepath.Dir(name), "history-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(h.lines, "\n") + "\n")
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// remember takes a line, unless it is none to come back to.
func (h *history) remember(line string) bool {
	hidden := strings.IndexFunc(line, func(r rune) bool { return r != '\t' && cli.Hidden(r) }) >= 0
	if line == "" || line[0] == ' ' || len(line) > maxHistoryLine || hidden || !utf8.ValidString(line) ||
		len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return false
	}
	if len(h.lines) == maxHistory {
		h.lines = slices.Delete(h.lines, 0, 1)
	}
	h.lines = append(h.lines, line)
	return true
}

// Add takes a line that was entered.
func (h *history) Add(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	line = entered(line)
	if h.remember(line) && h.file != nil {
		_, _ = h.file.WriteString(line + "\n") // a line that is not kept is not worth an interruption
	}
}

// Len is how many lines there are.
func (h *history) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.lines)
}

// At is a line, 0 the newest.
func (h *history) At(i int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return edited(h.lines[len(h.lines)-1-i])
}

func (h *history) close() {
	if h.file != nil {
		h.file.Close()
	}
}
