package demo

import (
	"fmt"
	"io"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// report writes the tally. color puts colours in, if there are any.
func (t *tally) report(w io.Writer, c cli.Palette) {
	fmt.Fprintf(w, "\nTally of %s, seed %d\n\n", seconds(t.took), t.seed)
	line := func(group, what string, value func(b *books) string) {
		fmt.Fprintf(w, "  %-18s%-16s", group, what)
		for i := range t.lanes {
			fmt.Fprintf(w, "%14s", value(&t.lanes[i]))
		}
		fmt.Fprintln(w)
	}
	number := func(f func(b *books) uint64) func(*books) string {
		return func(b *books) string { return fmt.Sprint(f(b)) }
	}
	line("", "", func(b *books) string { return b.name })
	for _, way := range []struct {
		name string
		of   func(b *books) count
	}{
		{"client to server", func(b *books) count { return b.up }},
		{"server to client", func(b *books) count { return b.down }},
	} {
		line(way.name, "sent", number(func(b *books) uint64 { return way.of(b).sent }))
		line("", "received", number(func(b *books) uint64 { return way.of(b).received }))
		line("", "repeated", number(func(b *books) uint64 { return way.of(b).repeated }))
		line("", "missing", number(func(b *books) uint64 { return way.of(b).missing }))
	}
	line("connection", "reconnects", number((*books).reconnects))
	line("", "dials", number(func(b *books) uint64 { return b.stats.Attempts }))
	line("", "fell back", number(func(b *books) uint64 { return b.fell }))
	line("", "climbed back", number(func(b *books) uint64 { return b.climbed }))
	line("", "longest outage", func(b *books) string { return seconds(b.silence) })
	if len(t.incidents) > 0 {
		t.reportRecovery(w)
	}
	fmt.Fprintln(w)
	for _, check := range t.checks {
		if len(check.faults) == 0 {
			fmt.Fprintf(w, "  %s %s\n", c.Paint(cli.Green, "✓"), check.promise)
			continue
		}
		fmt.Fprintf(w, "  %s %s\n", c.Paint(cli.Red, "✗"), check.promise)
		for i, f := range check.faults {
			if i == maxFaultsShown {
				fmt.Fprintf(w, "      and %d more\n", len(check.faults)-i)
				break
			}
			fmt.Fprintf(w, "      %s\n", f)
		}
	}
	fmt.Fprintln(w)
	if t.held() {
		fmt.Fprintf(w, "%s\n", c.Paint(cli.Green, fmt.Sprintf("Every promise held: %d of %d.", len(t.checks), len(t.checks))))
		return
	}
	failed := 0
	for _, check := range t.checks {
		failed += min(len(check.faults), 1)
	}
	fmt.Fprintf(w, "%s Run it again with --seed %d.\n", c.Paint(cli.Red, fmt.Sprintf("%d of %d promises did not hold.", failed, len(t.checks))), t.seed)
}

const maxFaultsShown = 5

// reportRecovery tells how long it took until the first message came, once a
// connection was possible again.
func (t *tally) reportRecovery(w io.Writer) {
	fmt.Fprint(w, "\n  Time to recover: from when a connection was possible to the first message\n")
	for _, in := range t.incidents {
		fmt.Fprintf(w, "  %-34s", fmt.Sprintf("  %s at %s", in.name, seconds(in.at.Sub(t.start))))
		for i := range t.lanes {
			took := "never"
			if !in.met(&t.lanes[i]) {
				took = "-"
			} else if d, ok := in.recovery(i); ok {
				took = seconds(d)
			}
			fmt.Fprintf(w, "%14s", took)
		}
		fmt.Fprintln(w)
	}
}
