package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/integration/internal/page"
	"github.com/holdfast-ws/holdfast/integration/internal/policy"
	"github.com/holdfast-ws/holdfast/integration/internal/simulation"
)

// The world of docs/storms.md, where it does not say otherwise.
const (
	million = 1_000_000
	rate    = 20_000
	backlog = 4096
	outage  = 30 * time.Second
	spread  = 100 * time.Millisecond
)

// simulated are the outcomes so far: the chart and the tables share some.
var simulated sync.Map

func simulate(c simulation.Config) *simulation.Outcome {
	if o, ok := simulated.Load(c); ok {
		return o.(*simulation.Outcome)
	}
	o := simulation.Run(c)
	simulated.Store(c, o)
	return o
}

func world(p policy.Policy, outage time.Duration, rate int) simulation.Config {
	c := simulation.Config{Clients: million, Policy: p, Outage: outage, Spread: spread, Rate: rate, MaxRetries: -1, Seed: 1}
	if rate > 0 {
		c.Backlog = backlog
	}
	return c
}

// section is a table of storms.md, between two comments that name it.
type section struct {
	name string
	head []string
	rows []row
}

// row is one of a table: what is simulated for it, and what is told of that.
type row struct {
	configs []simulation.Config
	cells   func(o []*simulation.Outcome) []string
}

// sections are all tables of storms.md that the simulation makes.
func sections() []section {
	unlimited := section{name: "unlimited", head: []string{"down for", "delays", "attempts", "most accepts in 1 s", "99 % back after", "all back after"}}
	for _, down := range []time.Duration{10 * time.Second, 60 * time.Second} {
		for _, p := range policy.All {
			unlimited.rows = append(unlimited.rows, row{[]simulation.Config{world(p, down, 0)}, func(o []*simulation.Outcome) []string {
				return []string{short(down), p.Name, millions(o[0].Attempts), page.Grouped(o[0].PeakAccepts), seconds(o[0].Back99) + " s", seconds(o[0].BackAll) + " s"}
			}})
		}
	}
	limited := section{name: "limited", head: []string{"clients notice within", "delays", "attempts", "most attempts in 1 s", "most accepts in 1 s", "99 % back after"}}
	for _, within := range []time.Duration{spread, time.Second} {
		for _, p := range policy.All {
			c := world(p, outage, rate)
			c.Spread = within
			limited.rows = append(limited.rows, row{[]simulation.Config{c}, func(o []*simulation.Outcome) []string {
				return []string{short(within), p.Name, millions(o[0].Attempts), page.Grouped(o[0].PeakAttempts), page.Grouped(o[0].PeakAccepts), seconds(o[0].Back99) + " s"}
			}})
		}
	}
	return []section{unlimited, limited, longest(), first(), patience()}
}

// longest compares bounds of every delay.
func longest() section {
	s := section{name: "max-delay", head: []string{"`MaxDelay`", "attempts a client makes while the server is down", "most accepts in 1 s, no limit", "99 % back after, no limit", "99 % back after, 20,000 a second"}}
	for _, d := range []time.Duration{10 * time.Second, 30 * time.Second, 60 * time.Second, 120 * time.Second} {
		p := policy.Default
		p.Max = d
		s.rows = append(s.rows, row{[]simulation.Config{world(p, 2*time.Minute, 0), world(p, 2*time.Minute, rate)}, func(o []*simulation.Outcome) []string {
			return []string{short(d), fmt.Sprintf("%.1f", float64(o[0].Attempts)/million-1), page.Grouped(o[0].PeakAccepts), seconds(o[0].Back99) + " s", seconds(o[1].Back99) + " s"}
		}})
	}
	return s
}

// first compares bounds of the first delay.
func first() section {
	s := section{name: "initial-delay", head: []string{"`InitialDelay`"}}
	downs := []time.Duration{0, 2 * time.Second, 10 * time.Second, 60 * time.Second}
	for _, down := range downs {
		s.head = append(s.head, fmt.Sprintf("down for %s: most in 1 s, 99 %% back after", short(down)))
	}
	for _, d := range []time.Duration{250 * time.Millisecond, time.Second, 4 * time.Second} {
		p := policy.Default
		p.Initial = d
		r := row{}
		for _, down := range downs {
			r.configs = append(r.configs, world(p, down, 0))
		}
		r.cells = func(all []*simulation.Outcome) []string {
			cells := []string{short(d)}
			for _, o := range all {
				cells = append(cells, fmt.Sprintf("%s, %s s", page.Grouped(o.PeakAccepts), seconds(o.Back99)))
			}
			return cells
		}
		s.rows = append(s.rows, r)
	}
	return s
}

// patience counts those who have given up, with the default cap.
func patience() section {
	s := section{name: "max-retries", head: []string{"down for", "of 1,000,000 clients have given up"}}
	for _, down := range []time.Duration{30 * time.Second, 45 * time.Second, 60 * time.Second, 90 * time.Second, 120 * time.Second, 180 * time.Second} {
		c := world(policy.Default, down, 0)
		c.MaxRetries = 10
		s.rows = append(s.rows, row{[]simulation.Config{c}, func(o []*simulation.Outcome) []string {
			return []string{short(down), page.Grouped(o[0].GaveUp)}
		}})
	}
	return s
}

// short is a time in seconds.
func short(d time.Duration) string { return fmt.Sprintf("%v s", d.Seconds()) }

func millions(n int) string { return fmt.Sprintf("%.1f million", float64(n)/1e6) }

// line simulates a row, and returns it in Markdown.
func (r row) line() string {
	var all []*simulation.Outcome
	for _, c := range r.configs {
		all = append(all, simulate(c))
	}
	return page.Row(r.cells(all))
}

// markdown simulates a section, two rows at a time.
func (s section) markdown() string {
	lines := make([]string, len(s.rows))
	room := make(chan struct{}, 2)
	var rows sync.WaitGroup
	for i, r := range s.rows {
		room <- struct{}{}
		rows.Go(func() {
			lines[i] = r.line()
			<-room
		})
	}
	rows.Wait()
	return page.Markdown(s.head) + strings.Join(lines, "")
}

// writeDocs writes the chart, and the tables into storms.md. Nothing is written
// unless all of them have a place there.
func writeDocs(folder string) error {
	path := filepath.Join(folder, "storms.md")
	if err := fill(path, func(section) string { return "" }, nil); err != nil {
		return fmt.Errorf("flag -docs: %w", err)
	}
	tables := map[string]string{}
	for _, s := range sections() {
		tables[s.name] = s.markdown()
	}
	var svg bytes.Buffer
	chart(&svg)
	err := fill(path, func(s section) string { return tables[s.name] }, func(text string) error {
		return os.WriteFile(path, []byte(text), 0o644)
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "storms.svg"), svg.Bytes(), 0o644)
}

// fill puts the tables into the page, as it is now, and hands it to write, if
// there is one.
func fill(path string, table func(section) string, write func(text string) error) error {
	read, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text := string(read)
	for _, s := range sections() {
		if text, err = page.Replace(text, s.name, table(s)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if write == nil {
		return nil
	}
	return write(text)
}
