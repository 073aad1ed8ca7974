package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// busy is the load from which on the figures mean little. A build just before,
// as go run does one, is less.
const busy = 2.5

// table prints what was measured, and what is to be reached.
func table(w io.Writer, r *report) {
	fmt.Fprintf(w, "%s\n%s\n%s of %s each, medians; %s in all\n", r.Machine, versionLine(r), plural(r.Rounds, "round"), r.Sample, r.Took)
	if r.Load > busy {
		fmt.Fprintf(w, "Something else was running (load %.1f before the start): these figures say little.\n", r.Load)
	}
	for _, g := range []struct{ rows, metric, title string }{
		{"send/", rate, "messages a second"}, {"receive/", rate, "messages a second"},
		{"echo/", p50, "round trip, p50, µs"}, {"echo/", p99, "round trip, p99, µs"},
		{"idle", heap, "heap, KiB a connection"}, {"idle", stack, "stacks, KiB a connection"}, {"idle", goroutines, "goroutines a connection"},
		{"session/", rate, "messages a second"},
	} {
		metricTable(w, r, g.rows, g.metric, g.title)
	}
	aimTable(w, r)
}

// metricTable prints a metric of the rows whose names begin so.
func metricTable(w io.Writer, r *report, rows, metric, title string) {
	var with []*rowReport
	measured := map[string]bool{}
	for _, row := range r.Rows {
		if strings.HasPrefix(row.Name, rows) {
			with = append(with, row)
			for _, name := range row.Subjects {
				measured[name] = true
			}
		}
	}
	if len(with) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\t", pad(title))
	for _, s := range subjects {
		if measured[s.name] {
			fmt.Fprintf(t, "%s\t", s.name)
		}
	}
	fmt.Fprintln(t)
	for _, row := range with {
		fmt.Fprintf(t, "%s\t", pad(row.Title))
		for _, s := range subjects {
			if !measured[s.name] {
				continue
			}
			cell := ""
			if v := row.Samples[s.name][metric]; len(v) > 0 {
				cell = number(metric, median(v))
			}
			fmt.Fprintf(t, "%s\t", cell)
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // w's errors are not this program's
}

// pad makes the first column, aligned to the left in a table that is not.
func pad(s string) string { return fmt.Sprintf("%-*s", 29, s) }

func aimTable(w io.Writer, r *report) {
	if len(r.Aims) == 0 {
		return
	}
	fmt.Fprintln(w)
	reached := 0
	for _, a := range r.Aims {
		verdict := "NOT REACHED"
		if a.Reached {
			verdict = "reached"
			reached++
		}
		what := a.Subject + " / " + a.Peer
		if a.Peer == "" {
			what = a.Subject
		}
		sign := "≤"
		if a.AtLeast {
			sign = "≥"
		}
		title := r.row(a.Row).Title
		if a.Metric != rate {
			title += ", " + a.Metric
		}
		fmt.Fprintf(w, "%s  %-21s  %7s  (%s to %s)  %s %-5s %s\n", pad(title), what, ratio(a.Median),
			ratio(slices.Min(a.Ratios)), ratio(slices.Max(a.Ratios)), sign, ratio(a.Aim), verdict)
	}
	fmt.Fprintf(w, "%d of %d reached\n", reached, len(r.Aims))
}

func versionLine(r *report) string {
	parts := []string{"Go " + r.Versions["go"]}
	for _, s := range subjects {
		if v := r.Versions[s.name]; v != "" {
			parts = append(parts, s.name+" "+v)
		}
	}
	return strings.Join(parts, ", ")
}

// number prints a value of a metric with three significant digits.
func number(metric string, v float64) string {
	switch {
	case metric == rate && v >= 1e6:
		return digits(v/1e6) + "M"
	case metric == rate && v >= 1e3:
		return digits(v/1e3) + "k"
	}
	return digits(v)
}

// digits prints three significant ones, or all of a larger number.
func digits(v float64) string {
	switch v = math.Abs(v); {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func ratio(v float64) string {
	if v >= 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
