package holdfast_test

import (
	"context"
	"fmt"
	"go/ast"
	goconst "go/constant"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/verdict"
	framing "github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/server"
)

// pageNumbers are the numbers of the page's tables: the row's first cell, the
// package's folder, and the constant there, or the field that gets it as its
// default.
var pageNumbers = []struct{ row, dir, name, unit string }{
	{"payload of a frame", "internal/wire", "MaxPayload", bytesUnit},
	{"batch, after inflation", "internal/wire", "MaxBatch", bytesUnit},
	{"seq, ack, and numbers in payloads", "internal/wire", "MaxSeq", countUnit},
	{"frames that one GAP covers", "internal/wire", "MaxGap", countUnit},
	{"sid", "internal/wire", "MaxSID", shortUnit},
	{"reason", "internal/wire", "MaxReason", shortUnit},
	{"secret", "internal/wire", "SecretLen", shortUnit},
	{"resumeTTL", "internal/wire", "MaxTTL", timeUnit},
	{"payload of PING", "internal/session", "MaxPing", bytesUnit},

	{"so many messages are not acknowledged", "internal/session", "ackMessages", countUnit},
	{"so many bytes are not acknowledged", "internal/session", "ackBytes", bytesUnit},
	{"something has not been acknowledged for", "internal/pump", "ackDelay", timeUnit},

	{"HELLO as first message, within", "server", "helloTimeout", timeUnit},
	{"ATTACH after WELCOME, within", "server", "attachTimeout", timeUnit},
	{"candidates of a session, at most; the oldest gives way", "server", "maxCandidates", countUnit},
	{"a link after GOAWAY, at most", "server", "replaceTimeout", timeUnit},
	{"the network takes nothing of what the server writes", "server", "writeTimeout", timeUnit},
	{"the closing handshake", "server", "closeTimeout", timeUnit},

	{"hang asked for", "fallback", "longHang", timeUnit},
	{"hang, at least", "fallback", "longMinHang", timeUnit},
	{"hang, at most, at the server too", "fallback", "longMaxHang", timeUnit},
	{"hang, at most, at the server too", "server", "maxHang", timeUnit},
	{"answer late by, beyond the hang", "fallback", "longGrace", timeUnit},
	{"a hang that may be somebody's impatience, from", "fallback", "longHeld", timeUnit},
	{"halved bodies, down to", "fallback", "longMinBody", bytesUnit},
	{"idle connections are kept for", "fallback", "longIdle", timeUnit},
	{"HTTP/2 pings after", "fallback", "pingAfter", timeUnit},
	{"request body at the server, within", "server", "bodyTimeout", timeUnit},

	{"ResumeTTL, and how long a tombstone answers", "server", "c.ResumeTTL", timeUnit},
	{"a session without its first ATTACH since the last HELLO", "server", "attachTimeout", timeUnit},
	{"window", "server", "receiveBuffer", bytesUnit},
	{"send buffer", "server", "c.SendBuffer.MaxBytes", bytesUnit},
	{"send buffer, messages", "server", "c.SendBuffer.MaxMessages", countUnit},
	{"maxMessage of the server", "server", "c.MaxMessageSize", bytesUnit},
	{"silence before PING", "server", "c.Keepalive.Interval", timeUnit},
	{"silence before PING", ".", "c.Keepalive.Interval", timeUnit},
	{"silence after PING", "server", "c.Keepalive.Timeout", timeUnit},
	{"silence after PING", ".", "c.Keepalive.Timeout", timeUnit},
	{"tombstones, at most; the oldest gives way", "server", "maxTombstones", countUnit},
	{"sessions of an address (IPv6: of a /64)", "server", "c.MaxSessionsPerAddress", countUnit},
	{"sessions of a principal; at the cap the one without a link for longest gives way", "server", "c.MaxSessionsPerPrincipal", countUnit},
	{"sessions opened by an address, a second and at once", "server", "c.OpenRate", countUnit},
	{"bytes in all buffers; above it sessions without a link end, then 503", "server", "bufferBudget", bytesUnit},
	{"Retry-After of a full server", "server", "retrySoon", timeUnit},

	{"added to twice the way", ".", "raceAfter", timeUnit},
	{"D, at least", ".", "raceMin", timeUnit},
	{"D, at most", ".", "raceMax", timeUnit},
	{"WebSocket starts that is remembered as blocked", ".", "raceRemembered", timeUnit},
	{"tries of a session at other nodes", ".", "otherNodeTries", countUnit},
	{"between those tries", ".", "otherNodeDelay", timeUnit},

	{"a hard verdict holds for", "internal/verdict", "hardFor", timeUnit},
	{"a soft verdict holds for", "internal/verdict", "softFor", timeUnit},
	{"strikes count together within", "internal/verdict", "strikesWithin", timeUnit},
	{"deaths that make a row", "internal/verdict", "deathsInRow", countUnit},
	{"deaths of a row, apart at most", "internal/verdict", "deathsWithin", timeUnit},
	{"an early death, or a proof of life, after", ".", "flakyWithin", timeUnit},
	{"paths remembered, at most", "internal/verdict", "maxKeys", countUnit},
	{"sessions, or links, lost to 421 within", "internal/verdict", "stickyWithin", timeUnit},

	{"window (ReceiveBuffer)", ".", "c.ReceiveBuffer", bytesUnit},
	{"send buffer of the client", ".", "c.SendBuffer.MaxBytes", bytesUnit},
	{"send buffer of the client, messages", ".", "c.SendBuffer.MaxMessages", countUnit},
	{"maxMessage of the client", ".", "c.MaxMessageSize", bytesUnit},
	{"handshake time-out", ".", "c.HandshakeTimeout", timeUnit},
	{"write time-out", ".", "c.WriteTimeout", timeUnit},
	{"bound on closing", ".", "c.CloseTimeout", timeUnit},
}

const (
	timeUnit  = "time"
	bytesUnit = "bytes"
	shortUnit = "short" // bytes that are not counted in KiB
	countUnit = "count"
)

func TestProtocolPageNumbers(t *testing.T) {
	page := readFile(t, protocolPage)
	packages := map[string]constants{}
	rows := map[string]bool{}
	for _, n := range pageNumbers {
		if packages[n.dir] == nil {
			packages[n.dir] = constantsOf(t, n.dir)
		}
		v, ok := packages[n.dir][n.name]
		require.True(t, ok, "%s has no %s that this test understands", n.dir, n.name)
		row := fmt.Sprintf("| %s | %s |", n.row, written(t, v, n.unit))
		assert.True(t, strings.Contains(page, "\n"+row+"\n"), "the page has no row %s, as %s in %s has it", row, n.name, n.dir)
		rows[row] = true
	}
	// The second of these is in the code as it stands, and the first is RFC 9110's.
	rows["| status in REJECT | 999 |"], rows["| code in REJECT and CLOSE | 4999 |"] = true, true
	for _, table := range regexp.MustCompile(`(?m)^\| (\w+) \| Value \|\n\|---\|---\|\n((?:\|.*\n)+)`).FindAllStringSubmatch(page, -1) {
		for row := range strings.Lines(table[2]) {
			assert.True(t, rows[strings.TrimSpace(row)], "nothing holds this row to the code: %s", row)
		}
	}
}

func TestProtocolPageProbes(t *testing.T) {
	p := verdict.Probes{Random: func() float64 { return 0.5 }}
	var delays []string
	for range 5 {
		delays = append(delays, written(t, goconst.MakeInt64(int64(p.Next())), timeUnit))
	}
	last := p.Next()
	p.Random = func() float64 { return 0 }
	text := fmt.Sprintf("%s and then every %s after the last try, each ± %d %%",
		strings.Join(delays[:4], ", "), delays[4], 100-100*p.Next()/last)
	assert.Contains(t, strings.Join(strings.Fields(readFile(t, protocolPage)), " "), text)
}

func TestProtocolPageViolations(t *testing.T) {
	want := map[string]bool{}
	for name, v := range constantsOf(t, "internal/session") {
		if strings.HasPrefix(name, "code") {
			want[v.String()] = true
		}
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| .* \| (10\d\d) \|$`).FindAllStringSubmatch(readFile(t, protocolPage), -1) {
		listed[row[1]] = true
	}
	assert.Equal(t, want, listed)
}

// unitSizes are the units of a kind, the largest first.
var unitSizes = map[string][]struct {
	size int64
	name string
}{
	timeUnit: {
		{int64(24 * time.Hour), "days"}, {int64(time.Hour), "h"}, {int64(time.Minute), "min"},
		{int64(time.Second), "s"}, {int64(time.Millisecond), "ms"},
	},
	bytesUnit: {{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}},
	shortUnit: {{1, "bytes"}},
}

// written is a value as the page has it: in the largest unit that it is whole in.
func written(t *testing.T, v goconst.Value, unit string) string {
	n, exact := goconst.Int64Val(goconst.ToInt(v))
	require.True(t, exact, "%v", v)
	for _, u := range unitSizes[unit] {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprint(n/u.size, " ", u.name)
		}
	}
	require.Equal(t, countUnit, unit, "no unit fits %d", n)
	for power := 32; power < 63; power++ {
		switch n {
		case 1 << power:
			return fmt.Sprintf("2^%d", power)
		case 1<<power - 1:
			return fmt.Sprintf("2^%d-1", power)
		}
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// constants are a package's, and what orDefault gives its fields.
type constants map[string]goconst.Value

// constantsOf reads a package without compiling it. What needs more than
// literals, arithmetic, package time and package wire is left out.
func constantsOf(t *testing.T, dir string) constants {
	values := constants{}
	if dir != "internal/wire" {
		for name, v := range constantsOf(t, "internal/wire") {
			values["wire."+name] = v
		}
	}
	for name, d := range map[string]time.Duration{"Hour": time.Hour, "Minute": time.Minute, "Second": time.Second, "Millisecond": time.Millisecond} {
		values["time."+name] = goconst.MakeInt64(int64(d))
	}
	for _, f := range parseDir(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) {
						values.set(name.Name, n.Values[i])
					}
				}
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "orDefault" {
					if field, ok := n.Args[0].(*ast.UnaryExpr); ok {
						values.set(dotted(field.X), n.Args[1])
					}
				}
			}
			return true
		})
	}
	return values
}

func (c constants) set(name string, e ast.Expr) {
	if v := c.eval(e); v.Kind() != goconst.Unknown {
		c[name] = v
	}
}

func (c constants) eval(e ast.Expr) goconst.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		return goconst.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.ParenExpr:
		return c.eval(e.X)
	case *ast.Ident, *ast.SelectorExpr:
		if v, ok := c[dotted(e)]; ok {
			return v
		}
	case *ast.BinaryExpr:
		x, y := c.eval(e.X), c.eval(e.Y)
		switch {
		case x.Kind() != goconst.Int || y.Kind() != goconst.Int:
		case e.Op == token.SHL:
			n, _ := goconst.Uint64Val(y)
			return goconst.Shift(x, e.Op, uint(n))
		case e.Op == token.ADD, e.Op == token.SUB, e.Op == token.MUL:
			return goconst.BinaryOp(x, e.Op, y)
		}
	}
	return goconst.MakeUnknown()
}

// dotted is a name or a selection of one as it is written.
func dotted(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return dotted(e.X) + "." + e.Sel.Name
	}
	return ""
}

// parseDir parses the package in a folder, without its tests.
func parseDir(t *testing.T, dir string) (files []*ast.File) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_js.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, f)
	}
	return files
}

func TestProtocolPageFrames(t *testing.T) {
	page := readFile(t, protocolPage)
	var want []string
	for typ := framing.Type(1); typ.Known(); typ++ {
		numbered := "no"
		if typ.Numbered() {
			numbered = "yes"
		}
		want = append(want, fmt.Sprintf("| %d | %v | %s |", typ, typ, numbered))
	}
	assert.Equal(t, want, regexp.MustCompile(`(?m)^\| \d+ \| [A-Z]+ \| \w+ \|`).FindAllString(page, -1))
	want = []string{
		fmt.Sprintf("| 0x%02x | text |", uint8(framing.Text)),
		fmt.Sprintf("| 0x%02x | more |", uint8(framing.More)),
		fmt.Sprintf("| 0x%02x | critical |", uint8(framing.Critical)),
	}
	assert.Equal(t, want, regexp.MustCompile(`(?m)^\| 0x\S+ \| \w+ \|`).FindAllString(page, -1))
	assert.Contains(t, page, fmt.Sprintf("DATA costs its payload + %d;", framing.Overhead))
	assert.Contains(t, page, framing.MediaType)
	assert.Contains(t, page, fmt.Sprintf("reason: %d authorise again, %d restart", framing.GoAwayReauthorize, framing.GoAwayRestart))
}

// TestProtocolPageHeaders holds the page's headers to those of the server.
func TestProtocolPageHeaders(t *testing.T) {
	page := readFile(t, protocolPage)
	want := map[string]bool{}
	for name, v := range constantsOf(t, "server") {
		if strings.HasPrefix(name, "header") {
			want[goconst.StringVal(v)] = true
		}
	}
	require.NotEmpty(t, want)
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(Holdfast-\\w+)` \\|").FindAllStringSubmatch(page, -1) {
		listed[row[1]] = true
	}
	assert.Equal(t, want, listed)
	for _, name := range regexp.MustCompile(`Holdfast-[A-Z]\w+`).FindAllString(page, -1) {
		assert.True(t, want[name], name)
	}
}

// TestProtocolPageStatuses holds the page's statuses to those in the server's
// source.
func TestProtocolPageStatuses(t *testing.T) {
	numbers := map[string]int{}
	for n := 100; n < 600; n++ {
		if text := http.StatusText(n); text != "" {
			numbers["Status"+strings.ReplaceAll(text, " ", "")] = n
		}
	}
	want := map[int]bool{http.StatusSwitchingProtocols: true}
	for _, f := range parseDir(t, "server") {
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(dotted(s), "http.Status") && s.Sel.Name != "StatusText" {
				n := numbers[s.Sel.Name]
				require.NotZero(t, n, s.Sel.Name)
				want[n] = true
			}
			return true
		})
	}
	var listed []int
	for _, row := range regexp.MustCompile(`(?m)^\| (\d\d\d) \|`).FindAllStringSubmatch(readFile(t, protocolPage), -1) {
		n, _ := strconv.Atoi(row[1])
		listed = append(listed, n)
	}
	assert.Equal(t, slices.Sorted(maps.Keys(want)), listed)
}

// TestProtocolPageOrigins holds the page to the server's answers to browsers.
func TestProtocolPageOrigins(t *testing.T) {
	s := server.New(func(context.Context, *server.Session) error { return nil }, nil)
	defer func() { require.NoError(t, s.Shutdown(t.Context())) }()
	answer := func(method string) http.Header {
		r := httptest.NewRequest(method, "http://example.test/stream", nil)
		r.Header.Set("Origin", "http://example.test")
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Header()
	}
	want := map[string]string{}
	for _, h := range []http.Header{answer(http.MethodPost), answer(http.MethodOptions)} {
		for name, values := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				want[name] = strings.Join(values, ", ")
			}
		}
	}
	assert.Equal(t, "http://example.test", want["Access-Control-Allow-Origin"])
	want["Access-Control-Allow-Origin"] = "the Origin"
	listed := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (Access-Control-\S+) \| ([^|]+) \|$`).FindAllStringSubmatch(readFile(t, protocolPage), -1) {
		listed[row[1]] = row[2]
	}
	assert.Equal(t, want, listed)
}

func TestProtocolPageLinks(t *testing.T) {
	page := readFile(t, protocolPage)
	slugs := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		slugs[strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		assert.True(t, slugs[strings.TrimPrefix(link[1], "#")], link[1])
	}
}
