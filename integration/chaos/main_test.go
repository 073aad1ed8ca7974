package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/integration/internal/chaos"
)

func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = command(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

func TestUsageNamesTheFlag(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-scenario", "latency,rain"}, `flag -scenario: there is no "rain"; there are latency, `},
		{[]string{"-scenario", ""}, `flag -scenario: there is no ""`},
		{[]string{"-transport", "pigeon"}, `flag -transport: there is no "pigeon"`},
		{[]string{"-messages", "10"}, "flag -messages: 10 is not between"},
		{[]string{"-messages", "many"}, "flag -messages"},
		{[]string{"-seed", "-1"}, "flag -seed"},
		{[]string{"-speed", "1"}, "-speed"},
		{[]string{"latency"}, `"latency" is no flag`},
	} {
		code, out, errs := run(t, c.args...)
		assert.Equal(t, 2, code, "%q", c.args)
		assert.Contains(t, errs, c.want, "%q", c.args)
		assert.Empty(t, out, "%q", c.args)
	}
}

func TestListAndHelp(t *testing.T) {
	code, out, _ := run(t, "-list")
	assert.Zero(t, code)
	for _, s := range chaos.Scenarios {
		assert.Contains(t, out, s.Name)
		assert.Contains(t, out, s.Meaning)
	}
	code, out, _ = run(t, "-h")
	assert.Zero(t, code)
	assert.Contains(t, out, "-scenario")
}

func TestTableAndJSON(t *testing.T) {
	code, out, errs := run(t, "-scenario", "latency", "-transport", "websocket", "-messages", "300", "-seed", "3")
	assert.Zero(t, code, errs)
	assert.Regexp(t, `(?m)^latency +websocket +600 +0 +0 +0 +0 `, out)
	code, out, errs = run(t, "-scenario", "slow-close", "-messages", "300", "-json")
	assert.Zero(t, code, errs)
	var results []chaos.Result
	require.NoError(t, json.Unmarshal([]byte(out), &results))
	require.Len(t, results, 2)
	assert.Equal(t, "longpoll", results[1].Transport)
	assert.Equal(t, 600, results[1].Messages)
}
