package connect

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func recall(h *history) (all []string) {
	for i := range h.Len() {
		all = append(all, h.At(i))
	}
	return all
}

func open(t *testing.T, name string) *history {
	h, err := openHistory(name)
	require.NoError(t, err)
	t.Cleanup(h.close)
	return h
}

func TestHistoryLastsAcrossRuns(t *testing.T) {
	name := filepath.Join(t.TempDir(), "holdfast", "history")
	h := open(t, name)
	for _, line := range []string{"one", "two", "two", "", " secret", "tab" + string(tabRune) + "bed", "bad\x1b[2J"} {
		h.Add(line)
	}
	want := []string{"tab" + string(tabRune) + "bed", "two", "one"}
	assert.Equal(t, want, recall(h))
	assert.Equal(t, want, recall(open(t, name)))
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, "one\ntwo\ntab\tbed\n", string(data))
}

func TestHistoryIsForItsOwner(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	name := filepath.Join(t.TempDir(), "history")
	require.NoError(t, os.WriteFile(name, []byte("old\n"), 0o666))
	open(t, name)
	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestHistoryIsBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "history")
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	b.WriteString("\x1b[2J\n\xff\n" + strings.Repeat("x", maxHistoryLine+1) + "\n")
	require.NoError(t, os.WriteFile(name, []byte(b.String()), 0o600))
	h := open(t, name)
	assert.Equal(t, maxHistory, h.Len())
	assert.Equal(t, "line 4999", h.At(0))
	h.Add("new")
	assert.Equal(t, maxHistory, h.Len())
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, maxHistory+1, strings.Count(string(data), "\n"))
	left, err := filepath.Glob(filepath.Join(filepath.Dir(name), "*"))
	require.NoError(t, err)
	assert.Len(t, left, 1, "no temporary file is left")
}

func TestHistoryWithoutAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	h, err := openHistory(filepath.Join(file, "history"))
	require.Error(t, err)
	h.Add("works")
	assert.Equal(t, []string{"works"}, recall(h))
	h.close()
}
