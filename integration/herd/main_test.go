package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/integration/internal/page"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(serverVariable); addr != "" {
		os.Exit(serve(addr, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestHerdComesBack(t *testing.T) {
	var out, live bytes.Buffer
	code := command(t.Context(), []string{"-clients", "300", "-down", "500ms", "-initial", "100ms", "-max", "1s", "-json"}, &out, &live)
	t.Log(live.String())
	require.Zero(t, code)
	var results []result
	require.NoError(t, json.Unmarshal(out.Bytes(), &results))
	require.Len(t, results, 3)
	for i, name := range []string{"full jitter", "fixed", "exponential"} {
		r := results[i]
		assert.Equal(t, name, r.Policy)
		assert.Equal(t, 300, r.Answered)
		sum := 0
		for _, n := range r.Accepts {
			sum += n
		}
		assert.Equal(t, 300, sum)
		assert.GreaterOrEqual(t, r.Attempts, 600, "once at least while it was down, and once after")
		assert.LessOrEqual(t, r.Back99, r.BackAll)
		assert.NotZero(t, r.PeakStep)
	}
}

func TestDocsGetTheFigures(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "storms.md")
	require.NoError(t, os.WriteFile(path, []byte(page.Begin("herd")+"<!-- end -->\n"), 0o600))
	var out, errs bytes.Buffer
	code := command(t.Context(), []string{"-clients", "20", "-down", "200ms", "-initial", "50ms", "-max", "200ms", "-policy", "default", "-docs", folder}, &out, &errs)
	require.Zero(t, code, errs.String())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(text), "\n| full jitter | ")
	assert.Contains(t, string(text), "20 clients, the server down for 0.2 s")
}

func TestUsageNamesTheFlag(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-clients", "0"}, "flag -clients: 0 is not between 1 and "},
		{[]string{"-clients", "100000"}, "flag -clients: 100000 is not between"},
		{[]string{"-down", "0s"}, "flag -down: 0s is not positive"},
		{[]string{"-down", "soon"}, "flag -down"},
		{[]string{"-limit", "-1s"}, "flag -limit"},
		{[]string{"-max", "1ms"}, "flag -max: 1ms is less than -initial"},
		{[]string{"-policy", "luck"}, `flag -policy: there is no "luck"`},
		{[]string{"-docs", ".", "-json"}, "flag -docs: not together with -json"},
		{[]string{"5000"}, `"5000" is no flag`},
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, 2, command(t.Context(), c.args, &out, &errs), "%q", c.args)
		assert.Contains(t, errs.String(), c.want, "%q", c.args)
		assert.Empty(t, out.String(), "%q", c.args)
	}
}
