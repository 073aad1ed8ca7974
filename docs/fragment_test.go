package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// packages are what the first half of a selector may name in a fragment.
var packages = map[string]string{
	"atomic": "sync/atomic", "context": "context", "errors": "errors", "fmt": "fmt", "http": "net/http", "httptest": "net/http/httptest",
	"json": "encoding/json", "log": "log", "neturl": "net/url", "os": "os", "slog": "log/slog", "strings": "strings", "sync": "sync",
	"synctest": "testing/synctest", "testing": "testing", "time": "time", "tls": "crypto/tls",
	"backoff":      "github.com/cenkalti/backoff/v4",
	"debugpage":    "github.com/holdfast-ws/holdfast/debugpage",
	"fallback":     "github.com/holdfast-ws/holdfast/fallback",
	"holdfast":     "github.com/holdfast-ws/holdfast",
	"holdfasttest": "github.com/holdfast-ws/holdfast/holdfasttest",
	"recws":        "github.com/recws-org/recws",
	"server":       "github.com/holdfast-ws/holdfast/server",
}

// websockets are what "websocket" means, by the block's mark.
var websockets = map[string]string{
	"gorilla": "github.com/gorilla/websocket",
	"coder":   "github.com/coder/websocket",
	"recws":   "github.com/gorilla/websocket",
}

// given is what statements may use without declaring it.
const given = `ctx context.Context, url string, conn *holdfast.Conn, mux *http.ServeMux, data []byte, ` +
	`handle func(context.Context, *server.Session) error, process func([]byte), ` +
	`requireAdmin func(http.Handler) http.Handler, t *testing.T`

// goFile makes a file of a go block.
func goFile(b block) (string, error) {
	if strings.HasPrefix(b.text, "package ") {
		return b.text, nil
	}
	body := b.text
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package fragment\n"+body, 0); err != nil {
		body = "func fragment(" + given + ") error {\n{\n" + b.text + used(b.text) + "}\nreturn nil\n}\n"
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", "package fragment\n"+body, 0)
	if err != nil {
		return "", err
	}
	imported := map[string]string{}
	var fault error
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		name, ok := selector.X.(*ast.Ident)
		if !ok || name.Obj != nil { // declared in the fragment
			return true
		}
		if name.Name == "websocket" {
			if imported[name.Name] = websockets[b.markOf("go")]; imported[name.Name] == "" {
				fault = fmt.Errorf("websocket stands for no package: the mark is %q", b.mark)
			}
		} else if path, ok := packages[name.Name]; ok {
			imported[name.Name] = path
		}
		return true
	})
	if fault != nil {
		return "", fault
	}
	var imports []string
	for name, path := range imported {
		imports = append(imports, fmt.Sprintf("import %s %q\n", name, path))
	}
	sort.Strings(imports)
	return "package fragment\n" + strings.Join(imports, "") + body, nil
}

// used is a use of the conn and err that statements declare: a fragment may end with
// the call that it shows.
func used(text string) (uses string) {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package fragment\nfunc f() {\n"+text+"\n}\n", 0)
	if err != nil {
		return ""
	}
	for _, s := range file.Decls[0].(*ast.FuncDecl).Body.List {
		assign, ok := s.(*ast.AssignStmt)
		if !ok || assign.Tok != token.DEFINE {
			continue
		}
		for _, left := range assign.Lhs {
			if name, ok := left.(*ast.Ident); ok && (name.Name == "conn" || name.Name == "err") {
				uses += "_ = " + name.Name + "\n"
			}
		}
	}
	return uses
}

// compile compiles go blocks, each as a package of its own, in a module that
// requires what this one does, and runs those that are tests. The error holds what the
// go command said.
func compile(t *testing.T, blocks []block) error {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	mod := readFile(t, "go.mod")
	require.Contains(t, mod, "=> ../\n")
	write(t, filepath.Join(dir, "go.mod"), strings.Replace(mod, "=> ../\n", "=> "+root+"\n", 1))
	write(t, filepath.Join(dir, "go.sum"), readFile(t, "go.sum"))
	var tests []string
	for i, b := range blocks {
		text, err := goFile(b)
		if err != nil {
			return fmt.Errorf("%v: %w", b, err)
		}
		name := "block.go"
		if strings.Contains(text, "testing.T)") {
			name = "block_test.go"
			tests = append(tests, fmt.Sprintf("./block%02d", i))
		}
		at := filepath.Join(dir, fmt.Sprintf("block%02d", i))
		require.NoError(t, os.Mkdir(at, 0o700))
		write(t, filepath.Join(at, name), text)
	}
	commands := [][]string{{"vet", "-unreachable=false", "./..."}}
	if len(tests) > 0 {
		commands = append(commands, append([]string{"test", "-timeout=60s", "-count=1"}, tests...))
	}
	for _, args := range commands {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			text := string(out)
			for i, b := range blocks {
				text = strings.ReplaceAll(text, fmt.Sprintf("block%02d/", i), fmt.Sprintf("block%02d (%v)/", i, b))
			}
			return fmt.Errorf("go %s: %w\n%s", args[0], err, text)
		}
	}
	return nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
