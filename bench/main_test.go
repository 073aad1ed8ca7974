package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" { // the tests' own server
		exit(serve(os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

// tiny measures everything, and nothing that means anything.
func tiny() settings {
	return settings{rounds: 2, sample: 2 * time.Millisecond, connections: 3, only: regexp.MustCompile("")}
}

func TestEveryRowOfEverySubject(t *testing.T) {
	r, err := measure(t.Context(), tiny(), io.Discard)
	require.NoError(t, err)
	require.Len(t, r.Rows, len(rows))
	for _, w := range rows {
		got := r.row(w.name)
		require.NotNil(t, got, w.name)
		assert.Equal(t, w.subjects, got.Subjects, w.name)
		for _, s := range w.subjects {
			for _, metric := range w.metrics {
				assert.Len(t, got.Samples[s][metric], 2, "%s of %s: %s", w.name, s, metric)
			}
		}
	}
	assert.Len(t, r.Aims, len(aims))
	for _, s := range subjects {
		if s.module != "" {
			assert.NotEmpty(t, r.Versions[s.name], s.name)
		}
	}

	var text bytes.Buffer
	r.Load = 3
	table(&text, r)
	for _, want := range []string{"load 3.0", "messages a second", "send 256 KiB", "gorilla 64K", "idle connection, goroutines", " reached"} {
		assert.Contains(t, text.String(), want)
	}
	var tables bytes.Buffer
	markdown(&tables, r)
	for _, want := range []string{"| | Holdfast | coder |", "| send 16 B, messages/s | ", "| idle connection, heap in KiB | ", "Go " + r.Versions["go"], "| echo 16 KiB, p50 in µs: Holdfast / coder | "} {
		assert.Contains(t, tables.String(), want)
	}
	var svg bytes.Buffer
	chart(&svg, r)
	assert.Len(t, regexp.MustCompile(`class="own"`).FindAll(svg.Bytes(), -1), len(panels))
	for d := xml.NewDecoder(&svg); ; {
		if _, err := d.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-only", "("}, "-only"},
		{[]string{"-rounds", "0"}, "at least 1"},
		{[]string{"x"}, "no argument"},
		{[]string{"-only", "nowhere"}, "matches nothing"},
	} {
		err := run(t.Context(), c.args, io.Discard, io.Discard)
		assert.ErrorContains(t, err, c.want, "%q", c.args)
	}
	assert.ErrorIs(t, run(t.Context(), []string{"-x"}, io.Discard, io.Discard), flag.ErrHelp)
}

func TestOnlyAndJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.json")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-quick", "-rounds", "1", "-only", "^echo/128B/(coder|Holdfast)$", "-json", file}, &out, io.Discard))
	assert.Contains(t, out.String(), "echo 128 B, p50")
	assert.NotContains(t, out.String(), "send 128 B")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var r report
	require.NoError(t, json.Unmarshal(b, &r))
	require.Len(t, r.Rows, 1)
	assert.Equal(t, []string{nameCoder, nameHoldfast}, r.Rows[0].Subjects)
	require.Len(t, r.Aims, 1)
	assert.Len(t, r.Aims[0].Ratios, 1)
}

func TestWhatIsLostOrChangedFails(t *testing.T) {
	c, err := startServer(t.Context(), io.Discard)
	require.NoError(t, err)
	defer c.stop()
	one := sending{size: 128, senders: 1, sample: time.Millisecond}
	for name, fault := range map[string]func(n int, p []byte) []byte{
		"lost":    func(n int, p []byte) []byte { return orNothing(n == 3, p) },
		"changed": func(n int, p []byte) []byte { return changedIf(n == 3, p) },
		"swapped": swap(),
	} {
		t.Run(name, func(t *testing.T) {
			inner, err := subjectNamed(nameTCP).connect(t.Context(), c, "/sink", false)
			require.NoError(t, err)
			defer inner.Close()
			_, _, err = sendFor(t.Context(), &faulty{conn: inner, fault: fault}, payloads(128), one, time.Millisecond)
			assert.ErrorIs(t, err, errLost)
		})
	}
}

// faulty changes what is sent; nil drops it.
type faulty struct {
	conn
	n     int
	fault func(n int, p []byte) []byte
}

func (f *faulty) Send(p []byte) error {
	if len(p) == 0 { // the question
		return f.conn.Send(p)
	}
	f.n++
	if p = f.fault(f.n, p); p == nil {
		return nil
	}
	return f.conn.Send(p)
}

func orNothing(nothing bool, p []byte) []byte {
	if nothing {
		return nil
	}
	return p
}

func changedIf(changed bool, p []byte) []byte {
	if changed {
		p = bytes.Clone(p)
		p[77] ^= 1
	}
	return p
}

// swap has the first two change places.
func swap() func(int, []byte) []byte {
	all := payloads(128)
	return func(n int, p []byte) []byte {
		if n <= 2 {
			return all[2-n]
		}
		return p
	}
}

func TestAims(t *testing.T) {
	r := &report{Rows: []*rowReport{
		{Name: "send/16B", Title: "send 16 B", Samples: map[string]map[string][]float64{
			nameHoldfast: {rate: {70, 36, 90}}, nameGorilla: {rate: {2, 1, 9}}, // 35, 36, 10
		}},
		{Name: "idle", Title: "idle", Samples: map[string]map[string][]float64{
			nameHoldfast: {heap: {13}, goroutines: {2}}, nameCoder: {heap: {10}, goroutines: {1}},
		}},
	}}
	r.judge()
	require.Len(t, r.Aims, 3)
	assert.InDelta(t, 35, r.Aims[0].Median, 0)
	assert.True(t, r.Aims[0].Reached, "at least 35")
	assert.InDelta(t, 1.3, r.Aims[1].Median, 1e-9)
	assert.False(t, r.Aims[1].Reached, "at most 1.25")
	assert.InDelta(t, 2, r.Aims[2].Median, 0)
	assert.True(t, r.Aims[2].Reached, "at most 2, of no peer")
}

func TestWhatIsStuckFails(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	_, err := bounded(func() (sample, error) { <-never; return nil, nil }, time.Millisecond)
	assert.ErrorContains(t, err, "no end after 1ms")
}

func TestMedian(t *testing.T) {
	assert.InDelta(t, 2, median([]float64{3, 1, 2}), 0)
	assert.InDelta(t, 2.5, median([]float64{4, 1, 3, 2}), 0)
}

func TestAServerThatEndsAtOnce(t *testing.T) {
	assert.Error(t, serve(bytes.NewReader(nil), failingWriter{}))
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no") }

// The pages show each row that is measured, and each ratio that is aimed at.
func TestThePagesShowEveryRow(t *testing.T) {
	r := &report{Versions: map[string]string{}}
	for i := range rows {
		for _, name := range rows[i].subjects {
			got := sample{}
			for _, metric := range rows[i].metrics {
				got[metric] = 1
			}
			for j := range subjects {
				if subjects[j].name == name {
					r.add(&rows[i], subjects[j], got)
				}
			}
		}
	}
	r.judge()
	var b bytes.Buffer
	markdown(&b, r)
	for page, tables := range map[string]int{"../README.md": 1, "../docs/speed.md": 2} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		table := 0
		for line := range strings.Lines(b.String()) {
			if strings.HasPrefix(line, "|---") {
				table++
			}
			first, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			if ok && table <= tables && line[0] == '|' && first != "Ratio, by round" {
				assert.True(t, strings.Contains(string(text), "\n| "+first+" | "), "%s has no row %q", page, first)
			}
		}
		assert.Equal(t, 2, table)
	}
}
