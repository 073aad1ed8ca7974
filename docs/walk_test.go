package docs

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// block is a fenced block of a page.
type block struct {
	page     string // from the root of the repository
	line     int
	language string
	mark     string // of the comment before it: "run: name"
	before   string // the line of words before it
	text     string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// markOf is the value of a mark of one kind, "" if the block has no such mark.
func (b block) markOf(kind string) string {
	value, _ := strings.CutPrefix(b.mark, kind+": ")
	if value == b.mark {
		return ""
	}
	return value
}

// blocksOf takes a page apart. What is left has blank lines where blocks were.
func blocksOf(page, text string) (blocks []block, prose string, err error) {
	var rest []string
	lines := strings.Split(text, "\n")
	mark, before := "", ""
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		fence := strings.TrimLeft(line, " ")
		if !strings.HasPrefix(fence, "```") {
			if strings.TrimSpace(line) != "" {
				mark, before = "", line
				if inner, ok := strings.CutPrefix(line, "<!-- "); ok {
					mark, _ = strings.CutSuffix(inner, " -->")
				}
			}
			rest = append(rest, line)
			continue
		}
		b := block{page: page, line: i + 1, language: strings.TrimPrefix(fence, "```"), mark: mark, before: before}
		mark = ""
		end := slices.Index(lines[i+1:], "```")
		if end < 0 || fence != line {
			return nil, "", fmt.Errorf("%v: a block that does not end, or is indented", b)
		}
		b.text = strings.Join(lines[i+1:i+1+end], "\n") + "\n"
		blocks = append(blocks, b)
		rest = append(rest, make([]string, end+2)...)
		i += end + 1
	}
	return blocks, strings.Join(rest, "\n"), nil
}

// elsewhere are blocks that a test of another package holds to the code: by page
// and language.
var elsewhere = map[string]string{
	"docs/protocol.md text":    "docs_protocol_test.go", // frames and transcripts
	"docs/protocol.md mermaid": "docs_protocol_test.go", // drawn by hand, beside the tables that are held
	"README.md mermaid":        "readme_internal_test.go",
}

// outputs are the tests that make the text of a mark "output: name".
var outputs = map[string]string{
	"errors": "docs_troubleshooting_test.go",
}

// check says what is wrong with a block that is not go.
func check(t *testing.T, b block) error {
	if file, ok := elsewhere[b.page+" "+b.language]; ok {
		return exists(file)
	}
	switch b.language {
	case "nginx", "haproxy", "squid":
		name := b.markOf("run")
		if name == "" {
			return fmt.Errorf("%v: a configuration without a mark that names its test", b)
		}
		tests, err := filepath.Glob("../integration/docs_*_test.go")
		require.NoError(t, err)
		for _, test := range tests {
			if strings.Contains(readFile(t, test), `"`+name+`"`) {
				return nil
			}
		}
		return fmt.Errorf("%v: no test of integration runs %q", b, name)
	case "yaml":
		if manifests[b.markOf("manifest")] == nil {
			return fmt.Errorf("%v: no test checks this manifest", b)
		}
		documents, err := parseYAML(b.text)
		if err != nil {
			return fmt.Errorf("%v: %w", b, err)
		}
		return manifests[b.markOf("manifest")](documents)
	case "json":
		if !json.Valid([]byte(b.text)) {
			return fmt.Errorf("%v: not JSON", b)
		}
		return nil
	case "sh":
		dir := ""
		if m := place.FindStringSubmatch(b.before); m != nil {
			dir = m[1]
		}
		for line := range strings.Lines(b.text) {
			line = strings.TrimSpace(line)
			if to, ok := strings.CutPrefix(line, "cd "); ok && !strings.Contains(line, "&&") {
				dir = to + "/" // for the lines that follow
				if err := exists(dir); err != nil {
					return fmt.Errorf("%v: %w", b, err)
				}
				continue
			}
			if err := checkCommand(t, dir, line); err != nil {
				return fmt.Errorf("%v: %w", b, err)
			}
		}
		return nil
	case "text":
		kind, _, _ := strings.Cut(b.markOf("output"), " ")
		if outputs[kind] == "" {
			return fmt.Errorf("%v: text whose mark names no test: %q", b, b.mark)
		}
		return exists(outputs[kind])
	}
	return fmt.Errorf("%v: nothing checks a block of %q", b, b.language)
}

// place is what the words before commands say of where to run them.
var place = regexp.MustCompile("^In `([a-z/]+)/`")

func exists(file string) error {
	_, err := os.Stat(filepath.Join("..", filepath.FromSlash(file)))
	return err
}

func parseYAML(text string) (documents []map[string]any, err error) {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var d map[string]any
		err := decoder.Decode(&d)
		if err == io.EOF {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
}

// commands that a page may show without a test that runs them, and why.
var commands = map[string]string{
	"go get github.com/holdfast-ws/holdfast": "a registry's, and README's own test holds its text",
	"go test ./...":                          "what .ci/run runs",
}

var assignment = regexp.MustCompile(`^[A-Z_]+=\S* `)

// checkCommand says whether a line of sh names what exists. dir is from the root of
// the repository.
func checkCommand(t *testing.T, dir, line string) error {
	line, _, _ = strings.Cut(line, " #")
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "#") || commands[line] != "" {
		return nil
	}
	dir = filepath.Join("..", dir)
	if rest, ok := strings.CutPrefix(line, "cd "); ok {
		to, after, found := strings.Cut(rest, " && ")
		if !found {
			return fmt.Errorf("%q: cd without a command", line)
		}
		dir, line = filepath.Join(dir, filepath.FromSlash(to)), after
	}
	line = assignment.ReplaceAllString(line, "")
	words := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(line))
	switch {
	case len(words) > 2 && words[0] == "go" && words[1] == "run":
		if err := hasMain(filepath.Join(dir, words[2])); err != nil {
			return err
		}
		return subcommand(words[2:], "./cmd/holdfast")
	case len(words) > 2 && words[0] == "go" && words[1] == "test":
		return checkTest(t, dir, words[2:])
	case len(words) > 1 && words[0] == "holdfast":
		return subcommand(words, "holdfast")
	}
	return fmt.Errorf("%q is no command that is known here", line)
}

func hasMain(dir string) error {
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && regexp.MustCompile(`(?m)^package main$`).Match(text) {
			return nil
		}
	}
	return fmt.Errorf("%s has no package main", dir)
}

// subcommand says whether the command holdfast has the one that words name.
func subcommand(words []string, holdfast string) error {
	if words[0] != holdfast {
		return nil
	}
	if len(words) < 2 {
		return fmt.Errorf("%q without a command", holdfast)
	}
	return exists("cmd/holdfast/internal/" + words[1])
}

func checkTest(t *testing.T, dir string, words []string) error {
	packages := []string{}
	pattern := ""
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "-run" && i+1 < len(words):
			i++
			pattern = words[i]
		case strings.HasPrefix(w, "-run="):
			pattern = w[len("-run="):]
		case !strings.HasPrefix(w, "-"):
			packages = append(packages, w)
		}
	}
	if len(packages) != 1 {
		return fmt.Errorf("%q names no package, or several", strings.Join(words, " "))
	}
	files, _ := filepath.Glob(filepath.Join(dir, filepath.FromSlash(packages[0]), "*_test.go"))
	run, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	for _, file := range files {
		for _, f := range testFunc.FindAllStringSubmatch(readFile(t, file), -1) {
			if run.MatchString(f[1]) {
				return nil
			}
		}
	}
	return fmt.Errorf("no test of %s matches %q", packages[0], pattern)
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Example|Fuzz)\w+)\(`)

// pages are all of docs, and the README.
func pages(t *testing.T) (all []string) {
	t.Helper()
	all = append(all, "README.md")
	require.NoError(t, filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".md") {
			all = append(all, path.Join("docs", filepath.ToSlash(name)))
		}
		return err
	}))
	require.Greater(t, len(all), 8)
	return all
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	return readFile(t, filepath.Join("..", filepath.FromSlash(page)))
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func TestBlocks(t *testing.T) {
	var programs []block
	for _, page := range pages(t) {
		blocks, _, err := blocksOf(page, readPage(t, page))
		require.NoError(t, err)
		for _, b := range blocks {
			if b.language == "go" {
				programs = append(programs, b)
			} else {
				assert.NoError(t, check(t, b))
			}
		}
	}
	require.NotEmpty(t, programs)
	assert.NoError(t, compile(t, programs))
}

// TestBlocksThatAreBroken fails where a broken block would pass.
func TestBlocksThatAreBroken(t *testing.T) {
	for name, text := range map[string]string{
		"an unknown language":         "```perl\nprint 1\n```\n",
		"no language":                 "```\nwhat\n```\n",
		"text without a mark":         "```text\nwhat\n```\n",
		"text with an unknown mark":   "<!-- output: dreams -->\n```text\nwhat\n```\n",
		"a mark that is not next":     "<!-- output: errors -->\n\nwords\n\n```text\nwhat\n```\n",
		"json":                        "```json\n{\n```\n",
		"a manifest that no one runs": "<!-- manifest: other -->\n```yaml\na: 1\n```\n",
		"yaml":                        "<!-- manifest: stream -->\n```yaml\na: [1\n```\n",
		"yaml without the fields":     "<!-- manifest: stream -->\n```yaml\na: 1\n```\n",
		"nginx without a mark":        "```nginx\nhttp {}\n```\n",
		"nginx that no test runs":     "<!-- run: other -->\n```nginx\nhttp {}\n```\n",
		"an unknown command":          "```sh\nmake world\n```\n",
		"go run of nothing":           "```sh\ngo run ./cmd/other\n```\n",
		"a command that is not there": "```sh\ngo run ./cmd/holdfast fly\n```\n",
		"a test that is not there":    "```sh\ngo test -run TestNoSuchThing .\n```\n",
		"tests of no package":         "```sh\ngo test -run Test ./nowhere\n```\n",
		"tests of another folder":     "In `server/`:\n\n```sh\ngo test -run TestDocs .\n```\n",
		"cd to nowhere":               "```sh\ncd nowhere && go test -run Test .\n```\n",
	} {
		blocks, _, err := blocksOf("docs/page.md", text)
		require.NoError(t, err, name)
		require.Len(t, blocks, 1, name)
		assert.Error(t, check(t, blocks[0]), name)
	}
	_, _, err := blocksOf("docs/page.md", "```go\nx := 1\n")
	assert.Error(t, err, "a block without an end")

	good := block{page: "docs/page.md", line: 1, language: "go", text: "return conn.Send(ctx, holdfast.Text, data)\n"}
	bad := block{page: "docs/page.md", line: 9, language: "go", text: "return conn.Sned(ctx, holdfast.Text, data)\n"}
	unmarked := block{page: "docs/page.md", line: 9, language: "go", text: "_, _, err := websocket.DefaultDialer.Dial(url, nil)\nreturn err\n"}
	assert.NoError(t, compile(t, []block{good}))
	assert.ErrorContains(t, compile(t, []block{good, bad}), "docs/page.md:9")
	assert.ErrorContains(t, compile(t, []block{unmarked}), "websocket")
	assert.Error(t, compile(t, []block{{language: "go", text: "if {\n"}}))
	failing := block{page: "docs/page.md", line: 9, language: "go", text: "func TestIt(t *testing.T) { t.Error(\"it fails\") }\n"}
	assert.ErrorContains(t, compile(t, []block{failing}), "it fails")
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	named   = regexp.MustCompile("`((?:Test|Benchmark)[A-Z]\\w*)(…?)`")
)

// anchor is what GitHub makes of a heading.
func anchor(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

// badLinks are the links of a page that lead nowhere.
func badLinks(t *testing.T, page, prose string) (bad []string) {
	for _, m := range link.FindAllStringSubmatch(prose, -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		target, fragment, _ := strings.Cut(m[1], "#")
		text := prose
		if target != "" {
			to := path.Join(path.Dir(page), target)
			if exists(to) != nil {
				bad = append(bad, m[1])
				continue
			}
			if fragment != "" {
				_, other, err := blocksOf(to, readPage(t, to))
				require.NoError(t, err)
				text = other
			}
		}
		if fragment == "" {
			continue
		}
		found := false
		for _, h := range heading.FindAllStringSubmatch(text, -1) {
			found = found || anchor(h[1]) == fragment
		}
		if !found {
			bad = append(bad, m[1])
		}
	}
	return bad
}

func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		_, prose, err := blocksOf(page, readPage(t, page))
		require.NoError(t, err)
		assert.Empty(t, badLinks(t, page, prose), page)
	}
	assert.Equal(t, []string{"nowhere.md", "#nothing", "README.md#nothing"},
		badLinks(t, "docs/page.md", "# One thing\n[a](nowhere.md) [b](#nothing) [c](README.md#nothing) [d](#one-thing) [e](README.md) [f](https://example.com)\n"))
}

// TestNamedTests holds the tests that pages name to those that exist anywhere.
func TestNamedTests(t *testing.T) {
	tests := map[string]bool{}
	require.NoError(t, filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, "_test.go") {
			for _, f := range testFunc.FindAllStringSubmatch(readFile(t, name), -1) {
				tests[f[1]] = true
			}
		}
		return nil
	}))
	count := 0
	for _, page := range pages(t) {
		for _, n := range named.FindAllStringSubmatch(readPage(t, page), -1) {
			count++
			found := tests[n[1]]
			for name := range tests {
				found = found || n[2] != "" && strings.HasPrefix(name, n[1])
			}
			assert.True(t, found, "%s names %s, which does not exist", page, n[1])
		}
	}
	assert.Greater(t, count, 30)
}
