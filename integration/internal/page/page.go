// Package page puts figures into pages of the documentation, each table between two
// comments: one that names it, and "<!-- end -->".
package page

import (
	"fmt"
	"os"
	"strings"
)

const end = "<!-- end -->"

// Begin is the comment before the table of a name.
func Begin(name string) string { return "<!-- figures: " + name + " -->\n" }

// Replace returns text with the table of a name replaced.
func Replace(text, name, table string) (string, error) {
	before, rest, ok := strings.Cut(text, Begin(name))
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("there is no %q with %q after it", strings.TrimSpace(Begin(name)), end)
	}
	return before + Begin(name) + table + end + after, nil
}

// Write replaces a table in a file.
func Write(path, name, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	replaced, err := Replace(string(text), name, table)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(replaced), 0o644)
}

// Markdown is a table.
func Markdown(head []string, rows ...[]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s|%s\n", Row(head), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		b.WriteString(Row(r))
	}
	return b.String()
}

// Row is a row of one.
func Row(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// Grouped is a number with commas.
func Grouped(n int) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, digit := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}
