package page

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTablesAreWrittenBetweenTheirMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	text := "a\n" + Begin("x") + "old\n<!-- end -->\nb\n" + Begin("y") + "<!-- end -->\n"
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	table := Markdown([]string{"n", "m"}, []string{"1", "2"})
	assert.Equal(t, "| n | m |\n|---|---|\n| 1 | 2 |\n", table)
	require.NoError(t, Write(path, "x", table))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	want := "a\n" + Begin("x") + table + "<!-- end -->\nb\n" + Begin("y") + "<!-- end -->\n"
	assert.Equal(t, want, string(got))

	require.ErrorContains(t, Write(path, "z", table), "<!-- figures: z -->")
	_, err = Replace(Begin("z"), "z", table)
	require.Error(t, err, "it has no end")
	got, err = os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "nothing is partly written")
	require.ErrorIs(t, Write(path+"x", "x", table), os.ErrNotExist)
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		assert.Equal(t, want, Grouped(n))
	}
}
