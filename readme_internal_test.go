package holdfast

import (
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests render the tables of README.md from the code that decides, and
// fail when the two differ. The message then holds the text that README wants.

func TestReadmeCloseCodes(t *testing.T) {
	want := []string{"| Code | Name | The Conn | Meaning |", "|---|---|---|---|"}
	for _, r := range closeCodes {
		code := strconv.Itoa(int(r.first))
		if r.last != r.first {
			code += "–" + strconv.Itoa(int(r.last))
		}
		want = append(want, fmt.Sprintf("| %s | %s | %s | %s |", code, r.name, inWords(r.decision), r.meaning))
	}
	requireInReadme(t, want)
}

func TestReadmeStates(t *testing.T) {
	want := []string{"```mermaid", "stateDiagram-v2", "    [*] --> connecting: Dial"}
	for from, row := range transitions {
		labels := make([][]string, len(stateNames))
		for in, to := range row {
			if to != never {
				labels[to] = append(labels[to], input(in).String())
			}
		}
		for to, names := range labels {
			if len(names) > 0 {
				want = append(want, fmt.Sprintf("    %v --> %v: %s", State(from), State(to), strings.Join(names, ", ")))
			}
		}
	}
	requireInReadme(t, append(want, "    closed --> [*]", "```"))
}

func TestReadmeOptions(t *testing.T) {
	rows := map[string]string{} // option to default
	for _, line := range strings.Split(readme(t), "\n") {
		if cells := strings.Split(line, " | "); len(cells) == 3 && strings.HasPrefix(line, "| `") {
			rows[strings.Trim(cells[0], "|` ")] = cells[1]
		}
	}
	var options []string
	walkOptions(reflect.ValueOf(*(*Options)(nil).withDefaults()), "", func(name string, def reflect.Value) {
		options = append(options, name)
		shown, ok := rows[name]
		if !assert.True(t, ok, "README has no row for the option %s", name) {
			return
		}
		if want, ok := defaultInWords(name, def); ok {
			assert.Equal(t, want, shown, "README's default of %s", name)
		}
	})
	require.Greater(t, len(options), 30)
	for _, name := range options {
		delete(rows, name)
	}
	assert.Empty(t, rows, "rows of README for options that do not exist")
}

// walkOptions calls f for each field, those of structs of this package too.
func walkOptions(v reflect.Value, prefix string, f func(name string, def reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Type.Kind() == reflect.Struct && field.Type.PkgPath() == v.Type().PkgPath() {
			walkOptions(v.Field(i), prefix+field.Name+".", f)
			continue
		}
		f(prefix+field.Name, v.Field(i))
	}
}

// defaultInWords is false for what only words can tell, such as a nil function.
func defaultInWords(name string, def reflect.Value) (string, bool) {
	switch v := def.Interface().(type) {
	case time.Duration:
		if v == 0 {
			return "none", true
		}
		return fmt.Sprintf("%g s", v.Seconds()), true
	case bool:
		return map[bool]string{false: "off", true: "on"}[v], true
	case WhenFull:
		return "`WhenFullBlock`", v == WhenFullBlock
	case Delivery:
		return "`AtMostOnce`", v == AtMostOnce
	case SessionMode:
		return "`SessionAuto`", v == SessionAuto
	}
	if !def.CanInt() {
		return "", false
	}
	n := def.Int()
	switch name {
	case "SendBuffer.MaxBytes", "ReceiveBuffer", "MaxMessageSize":
		return fmt.Sprintf("%g MiB", float64(n)/(1<<20)), true
	}
	if n >= 1000 {
		return fmt.Sprintf("%d,%03d", n/1000, n%1000), true
	}
	return strconv.FormatInt(n, 10), true
}

// inWords is a decision as README says it.
func inWords(d Decision) string {
	switch d {
	case DecisionRetry:
		return "retries"
	case DecisionRetrySlowly:
		return "retries slowly"
	case DecisionReauthorize:
		return "asks `Authorize` once more, then stops"
	}
	return "stops"
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func requireInReadme(t *testing.T, lines []string) {
	t.Helper()
	want := strings.Join(lines, "\n") + "\n"
	if !strings.Contains(readme(t), "\n"+want) {
		t.Fatalf("README.md differs from the code. It has to contain:\n\n%s", want)
	}
}
