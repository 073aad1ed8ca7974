package holdfast_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The import policy of the module, as a test. It reads every Go file, whatever
// its build tags, and needs no go command.

const module = "github.com/holdfast-ws/holdfast"

// floors are the module's packages from the ground up, as folders; "x/*"
// stands for every folder under x. A package imports packages of lower floors
// only, so two packages of one floor do not know each other. Names are
// reserved here before their packages exist.
var floors = [][]string{
	{"transport", "internal/chunk", "internal/deque", "internal/frame", "internal/liveness", "internal/memnet", "internal/netns", "internal/redact", "internal/registry", "internal/verdict", "internal/wire"},
	{"internal/credential", "internal/diagnose", "internal/inbox", "internal/netwatch", "internal/outbox"},
	{"internal/session", "internal/wslink"},
	{"internal/pump"},
	{"."},
	{"fallback", "holdfasttest", "server"},
	{"debugpage", "doctor"},
	{"cmd/holdfast/internal/cli"},
	{"cmd/holdfast/internal/*"},
	{"cmd/*", "examples/*"},
}

// dependencies are the other modules that a program which imports Holdfast
// downloads, and the only packages that may import them; nil means any but
// the examples.
var dependencies = map[string][]string{
	"github.com/coder/websocket":     {"internal/wslink"},
	"github.com/cenkalti/backoff/v4": nil,
	"golang.org/x/net":               nil,
	"golang.org/x/sys":               nil,
	"golang.org/x/term":              {"cmd/holdfast/internal/connect"},
}

// testDependencies are for tests, and for packages that only tests import.
var (
	testDependencies = []string{"github.com/stretchr/testify", "go.uber.org/goleak", "pgregory.net/rapid"}
	testPackages     = []string{"internal/netns"}
)

// maxExported bounds the root's exported types and functions. Methods and
// constants do not count.
const maxExported = 59

func TestImportsRunDownwards(t *testing.T) {
	files := moduleFiles(t)
	require.Greater(t, len(files), 50, "files of the module, found from its root")
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if why := forbidden(path.Dir(name), strings.HasSuffix(name, "_test.go"), imported); why != "" {
				t.Errorf("%s imports %s: %s", name, imported, why)
			}
		}
	}
}

func TestEveryPackageHasAFloor(t *testing.T) {
	for _, name := range moduleFiles(t) {
		if dir := path.Dir(name); floor(dir) < 0 {
			t.Errorf("%s: give the package a place in floors", dir)
		}
	}
}

func TestRootStaysSmall(t *testing.T) {
	exported := map[string]bool{}
	for _, name := range moduleFiles(t) {
		if path.Dir(name) != "." || strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, id := range topLevel(f) {
			if id.IsExported() {
				exported[id.Name] = true
			}
		}
	}
	require.Contains(t, exported, "Dial")
	require.Contains(t, exported, "Options")
	assert.LessOrEqual(t, len(exported), maxExported, "exported types and functions of the root")
}

// TestForbidden makes sure that the policy above can fail.
func TestForbidden(t *testing.T) {
	const (
		library = false
		test    = true
	)
	tests := []struct {
		dir      string
		inTest   bool
		imported string
		allowed  bool
	}{
		{".", library, "net/http", true},
		{".", library, module + "/transport", true},
		{".", library, module + "/internal/wslink", true},
		{".", library, "github.com/cenkalti/backoff/v4", true},
		{"internal/wslink", library, "github.com/coder/websocket", true},
		{"internal/wslink", library, "golang.org/x/net/proxy", true},
		{"internal/wslink", test, module + "/internal/memnet", true},
		{"internal/netwatch", library, "golang.org/x/sys/unix", true},
		{"internal/netns", library, "github.com/stretchr/testify/require", true},
		{"server", library, module, true},
		{"cmd/holdfast", library, module + "/cmd/holdfast/internal/demo", true},
		{"cmd/holdfast/internal/demo", library, module + "/holdfasttest", true},
		{"cmd/holdfast/internal/connect", library, "golang.org/x/term", true},
		{"examples/echo", library, module, true},
		{"examples/echo", test, "github.com/stretchr/testify/require", true},
		{".", test, module + "/holdfasttest", true},
		{".", test, module + "/fallback", true},
		{".", test, "go.uber.org/goleak", true},

		{"transport", library, module, false},
		{"internal/inbox", library, module + "/internal/outbox", false},
		{"internal/outbox", library, module + "/internal/wslink", false},
		{"internal/wslink", library, module + "/internal/session", false},
		{"internal/wslink", library, module, false},
		{".", library, module + "/fallback", false},
		{".", library, module + "/server", false},
		{".", library, module + "/holdfasttest", false},
		{".", library, module + "/internal/netns", false},
		{".", library, module + "/unknown", false},
		{"fallback", library, module + "/server", false},
		{".", library, "github.com/coder/websocket", false},
		{".", test, "github.com/coder/websocket", false},
		{"server", library, "github.com/coder/websocket/wsjson", false},
		{".", library, "github.com/gorilla/websocket", false},
		{".", test, "github.com/gorilla/websocket", false},
		{".", library, "golang.org/x/netutil", false},
		{".", library, "github.com/stretchr/testify/require", false},
		{"holdfasttest", library, "github.com/stretchr/testify/require", false},
		{"examples/echo", library, "golang.org/x/sys/unix", false},
		{"examples/echo", library, module + "/internal/memnet", false},
		{"examples/echo", library, module + "/examples/graceful", false},
		{"cmd/holdfast", library, module + "/examples/echo", false},
		{"cmd/holdfast/internal/demo", library, module + "/cmd/holdfast/internal/connect", false},
		{"cmd/holdfast", library, "golang.org/x/term", false},
	}
	for _, tt := range tests {
		why := forbidden(tt.dir, tt.inTest, tt.imported)
		assert.Equal(t, tt.allowed, why == "", "%s (test %v) imports %s: %q", tt.dir, tt.inTest, tt.imported, why)
	}
}

// forbidden says why the package in dir may not import another one, or "".
// Tests may look upwards: the compiler refuses them a cycle anyway.
func forbidden(dir string, inTest bool, imported string) string {
	example := strings.HasPrefix(dir, "examples/")
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	if within(imported, module) {
		target := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
		if target == "" {
			target = "."
		}
		switch {
		case floor(target) < 0:
			return "the package has no place in floors"
		case example && strings.HasPrefix(target, "internal/"):
			return "an example uses what any program can import"
		case !inTest && slices.Contains(testPackages, target):
			return "that package is for tests"
		case !inTest && floor(target) >= floor(dir):
			return fmt.Sprintf("imports run downwards, and this goes from floor %d to %d", floor(dir), floor(target))
		}
		return ""
	}
	if inTest || slices.Contains(testPackages, dir) {
		for _, mod := range testDependencies {
			if within(imported, mod) {
				return ""
			}
		}
	}
	for mod, importers := range dependencies {
		switch {
		case !within(imported, mod):
			continue
		case importers != nil && !slices.Contains(importers, dir):
			return "only " + strings.Join(importers, " and ") + " may"
		case example && !inTest:
			return "an example needs the standard library and Holdfast alone"
		}
		return ""
	}
	return "not one of the module's dependencies"
}

// within reports whether a package is the given one or below it.
func within(pkg, root string) bool {
	return pkg == root || strings.HasPrefix(pkg, root+"/")
}

// floor returns the floor of the package in a folder, or -1.
func floor(dir string) int {
	return slices.IndexFunc(floors, func(packages []string) bool {
		return slices.ContainsFunc(packages, func(p string) bool {
			if root, ok := strings.CutSuffix(p, "/*"); ok {
				return strings.HasPrefix(dir, root+"/")
			}
			return p == dir
		})
	})
}

// topLevel returns the names of a file's types and functions.
func topLevel(f *ast.File) []*ast.Ident {
	var names []*ast.Ident
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				names = append(names, decl.Name)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				if spec, ok := spec.(*ast.TypeSpec); ok {
					names = append(names, spec.Name)
				}
			}
		}
	}
	return names
}

// moduleFiles returns the module's Go files, with slashes, from its root,
// which is where this package's tests run. Nested modules are not part of it.
func moduleFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") {
			files = append(files, filepath.ToSlash(name))
		}
		return nil
	})
	require.NoError(t, err)
	return files
}
