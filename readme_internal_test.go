package holdfast

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
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

// TestDocStates holds the diagram of the package's documentation to the table.
// An attempt that gives way to another one is not in it.
func TestDocStates(t *testing.T) {
	states := map[string]State{}
	for s, name := range stateNames {
		states[strings.ToUpper(name[:1])+name[1:]] = State(s)
	}
	var got [StateClosed + 1][StateClosed + 1]bool
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	from := ""
	for _, edge := range regexp.MustCompile(`(?m)^//\t(\w[\w ]*?)? +-> (\w+)`).FindAllStringSubmatch(string(text), -1) {
		if edge[1] != "" {
			from = edge[1]
		}
		to, ok := states[edge[2]]
		require.True(t, ok, edge[0])
		for s := range StateClosing {
			if from == "any state" || states[from] == s && from != "Dial" {
				got[s][to] = true
			}
		}
		if from == "Closing" {
			got[StateClosing][to] = true
		}
	}
	var want [StateClosed + 1][StateClosed + 1]bool
	for s, row := range transitions {
		for _, to := range row {
			if to != never && to != State(s) {
				want[s][to] = true
			}
		}
	}
	assert.Equal(t, want, got, "doc.go's diagram, from state to state in the order of state.go")
}

func TestReadmeOptions(t *testing.T) {
	rows := map[string]string{} // option to default
	_, table, found := strings.Cut(readme(t), "\n| Option | Default | Meaning |\n|---|---|---|\n")
	require.True(t, found)
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 {
			break
		}
		rows[strings.Trim(cells[0], "|` ")] = cells[1]
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
