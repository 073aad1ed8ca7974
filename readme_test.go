package holdfast_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadmeExamples holds the examples of README.md, and that of the package's
// documentation, to functions that are run.
func TestReadmeExamples(t *testing.T) {
	want := exampleBody(t, "example_test.go", "sayHello")
	readme := readFile(t, "README.md")
	for _, example := range []string{
		want, exampleBody(t, "readme_example_test.go", "dialWithFallback"), exampleBody(t, "readme_example_test.go", "serveEcho"),
	} {
		assert.LessOrEqual(t, strings.Count(example, "\n"), 15, "lines")
		if !strings.Contains(readme, "```go\n"+example+"```\n") {
			t.Errorf("README.md has to contain, as a Go example:\n\n%s", example)
		}
	}
	doc := "//\t" + strings.TrimSuffix(strings.ReplaceAll(want, "\n", "\n//\t"), "//\t")
	if !strings.Contains(readFile(t, "doc.go"), "//\n"+doc+"//\n") {
		t.Errorf("doc.go has to contain:\n\n%s", doc)
	}
}

// exampleBody returns a function's body, without its indentation and last return.
func exampleBody(t *testing.T, name, function string) string {
	source := readFile(t, name)
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, 0)
	require.NoError(t, err)
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != function {
			continue
		}
		body := source[set.Position(f.Body.Lbrace).Offset+1 : set.Position(f.Body.Rbrace).Offset]
		end := strings.LastIndex(body, "\n\treturn ")
		require.Positive(t, end)
		return strings.ReplaceAll(body[:end+1], "\n\t", "\n")[1:]
	}
	require.Fail(t, "no "+function)
	return ""
}

// TestReadmeFallbackTimes holds the table of times to the benchmark that they
// come from. The times are a machine's, and are not asserted.
func TestReadmeFallbackTimes(t *testing.T) {
	_, table, found := strings.Cut(readFile(t, "README.md"), "\n| What stands in the way | Holdfast |")
	require.True(t, found)
	var rows []string
	for line := range strings.SplitSeq(table, "\n") {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| ") {
			rows = append(rows, strings.TrimPrefix(cells[0], "| "))
		} else if len(rows) > 0 {
			break
		}
	}
	var want []string
	for _, way := range fallbackWays {
		want = append(want, way.name)
	}
	assert.Equal(t, want, rows)
}

func TestReadmeNamesWhatExists(t *testing.T) {
	readme := readFile(t, "README.md")
	for _, command := range []string{"go get github.com/holdfast-ws/holdfast\n", "go test ./...\n", "go run ./cmd/holdfast demo\n"} {
		assert.Contains(t, readme, command)
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(readme, -1) {
		_, err := os.Stat(link[1])
		assert.NoError(t, err, "a link of README")
	}

	tests := map[string]bool{}
	for _, name := range moduleFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			for _, f := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(readFile(t, name), -1) {
				tests[f[1]] = true
			}
		}
	}
	named := regexp.MustCompile("`(Test\\w+)(…?)`").FindAllStringSubmatch(readme, -1)
	require.Greater(t, len(named), 10)
	for _, n := range named {
		found := tests[n[1]]
		for name := range tests {
			found = found || n[2] != "" && strings.HasPrefix(name, n[1])
		}
		assert.True(t, found, "README names the test %s, which does not exist", n[1])
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}
