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

// TestReadmeExample holds the example of README.md and of the package's
// documentation to the function sayHello, which Example runs.
func TestReadmeExample(t *testing.T) {
	want := exampleBody(t)
	assert.LessOrEqual(t, strings.Count(want, "\n"), 15, "lines")
	readme := readFile(t, "README.md")
	if !strings.Contains(readme, "```go\n"+want+"```\n") {
		t.Errorf("README.md has to contain, as its Go example:\n\n%s", want)
	}
	doc := "//\t" + strings.TrimSuffix(strings.ReplaceAll(want, "\n", "\n//\t"), "//\t")
	if !strings.Contains(readFile(t, "doc.go"), "//\n"+doc+"//\n") {
		t.Errorf("doc.go has to contain:\n\n%s", doc)
	}
}

// exampleBody returns the body of sayHello, without its indentation and last return.
func exampleBody(t *testing.T) string {
	source := readFile(t, "example_test.go")
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, 0)
	require.NoError(t, err)
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "sayHello" {
			continue
		}
		body, found := strings.CutSuffix(source[set.Position(f.Body.Lbrace).Offset+1:set.Position(f.Body.Rbrace).Offset], "\treturn nil\n")
		require.True(t, found)
		return strings.ReplaceAll(body, "\n\t", "\n")[1:]
	}
	require.Fail(t, "no sayHello")
	return ""
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
