package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// readmeColumns are the subjects that the README has room for.
var readmeColumns = []string{nameHoldfast, nameCoder, nameGorilla, nameGWS, nameGobwas, nameNATS, nameTCP}

// markdown writes the tables of the README: the medians, then the ratios that are
// aimed at.
func markdown(w io.Writer, r *report) {
	fmt.Fprintf(w, "| | %s |\n|---|%s\n", strings.Join(readmeColumns, " | "), strings.Repeat("---:|", len(readmeColumns)))
	for _, row := range r.Rows {
		for _, metric := range []string{rate, p50, heap, goroutines} {
			if len(row.Samples[nameHoldfast][metric]) == 0 {
				continue
			}
			cells := make([]string, len(readmeColumns))
			for i, name := range readmeColumns {
				cells[i] = "–"
				if v := row.Samples[name][metric]; len(v) > 0 {
					cells[i] = number(metric, median(v))
				}
			}
			fmt.Fprintf(w, "| %s, %s | %s |\n", row.Title, units[metric], strings.Join(cells, " | "))
		}
	}
	fmt.Fprint(w, "\n| Ratio, by round | Median | Least and most | Aim | |\n|---|---:|---:|---:|---|\n")
	for _, a := range r.Aims {
		what := a.Subject + " / " + a.Peer
		if a.Peer == "" {
			what = a.Subject
		}
		sign, verdict := "≤", "not reached"
		if a.AtLeast {
			sign = "≥"
		}
		if a.Reached {
			verdict = "reached"
		}
		fmt.Fprintf(w, "| %s, %s: %s | %s | %s to %s | %s %s | %s |\n", r.row(a.Row).Title, units[a.Metric], what, ratio(a.Median),
			ratio(slices.Min(a.Ratios)), ratio(slices.Max(a.Ratios)), sign, ratio(a.Aim), verdict)
	}
	fmt.Fprintf(w, "\n%s; %s; %s of %s each, %s.\n", r.Machine, versionLine(r), plural(r.Rounds, "round"), r.Sample, r.Date)
}

var units = map[string]string{rate: "messages/s", p50: "p50 in µs", heap: "heap in KiB", goroutines: "goroutines"}
