package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/integration/internal/page"
	"github.com/holdfast-ws/holdfast/integration/internal/policy"
)

func run(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = command(args, &o, &e)
	return code, o.String(), e.String()
}

func TestUsageNamesTheFlag(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-clients", "0"}, "flag -clients: 0 is not between"},
		{[]string{"-clients", "30000000"}, "flag -clients"},
		{[]string{"-outage", "-1s"}, "flag -outage"},
		{[]string{"-outage", "1ms"}, "flag -outage: 1ms is not tenths"},
		{[]string{"-spread", "-1s"}, "flag -spread"},
		{[]string{"-rate", "-1"}, "flag -rate"},
		{[]string{"-backlog", "-1"}, "flag -backlog"},
		{[]string{"-seed", "x"}, "-seed"},
		{[]string{"-initial", "2s", "-max", "1s"}, "flags -initial and -max: 2s and 1s"},
		{[]string{"-initial", "-2s"}, "flags -initial and -max"},
		{[]string{"-docs", "x", "-rate", "1"}, "flag -docs: goes alone"},
		{[]string{"million"}, `"million" is no flag`},
	} {
		code, out, errs := run(c.args...)
		assert.Equal(t, 2, code, "%q", c.args)
		assert.Contains(t, errs, c.want, "%q", c.args)
		assert.Empty(t, out, "%q", c.args)
	}
}

func TestTable(t *testing.T) {
	args := []string{"-clients", "2000", "-rate", "0", "-outage", "10s", "-initial", "2s"}
	code, out, errs := run(args...)
	require.Zero(t, code, errs)
	assert.Regexp(t, `(?m)^ +fixed 1 s +20,000 +2,000 +2,000 +0\.1 +0\.1 +0 *$`, out)
	assert.Contains(t, out, "full jitter, 2s to 30s")
	_, again, _ := run(args...)
	assert.Equal(t, out, again)
	code, help, _ := run("-h")
	assert.Zero(t, code)
	assert.Contains(t, help, "-outage")
}

// Some rows of docs/storms.md that are about the defaults, at full size. The others
// are as exact, and take longer.
func TestDocsHaveTheFiguresOfTheDefaults(t *testing.T) {
	read, err := os.ReadFile("../../docs/storms.md")
	require.NoError(t, err)
	text := string(read)
	rows := 0
	for _, s := range sections() {
		require.Contains(t, text, page.Begin(s.name)+page.Row(s.head))
		for i, r := range s.rows {
			defaults := r.configs[0].Policy == policy.Default && (s.name == "unlimited" || s.name == "limited")
			if !defaults && (s.name != "max-retries" || i > 1) {
				continue
			}
			rows++
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				assert.Contains(t, text, "\n"+r.line())
			})
		}
	}
	assert.Equal(t, 6, rows)
}

func TestDocsOfAnotherPage(t *testing.T) {
	folder := t.TempDir()
	code, _, errs := run("-docs", folder)
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "flag -docs")
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	assert.Empty(t, files, "nothing is partly written")
}

func TestChartIsWellFormed(t *testing.T) {
	text, err := os.ReadFile("../../docs/storms.svg")
	require.NoError(t, err)
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			require.NoError(t, err)
		}
	}
	assert.Contains(t, string(text), "prefers-color-scheme: dark")
}
