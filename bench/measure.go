package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// measure runs all rounds.
func measure(ctx context.Context, set settings, progress io.Writer) (*report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := startServer(ctx, progress)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	began := time.Now()
	r := newReport(set)
	for round := range set.rounds {
		for i := range rows {
			if err := measureRow(ctx, c, &rows[i], round, set, r, progress); err != nil {
				return nil, err
			}
		}
	}
	fmt.Fprint(progress, clearLine)
	if len(r.Rows) == 0 {
		return nil, fmt.Errorf("-only %s matches nothing", set.only)
	}
	r.Took = time.Since(began).Round(time.Second).String()
	r.judge()
	return r, nil
}

// clearLine goes back to the start of a line of the terminal and empties it.
const clearLine = "\r\x1b[K"

func measureRow(ctx context.Context, c *child, w *row, round int, set settings, r *report, progress io.Writer) error {
	chosen := w.chosen(set)
	if len(chosen) == 0 {
		return nil
	}
	// Who comes first, and after whom, changes from round to round.
	at := round % len(chosen)
	for _, s := range slices.Concat(chosen[at:], chosen[:at]) {
		if err := ctx.Err(); err != nil {
			return err
		}
		fmt.Fprintf(progress, "%sround %d of %d: %s, %s", clearLine, round+1, set.rounds, w.title, s.name)
		runtime.GC() // nobody pays for what others have left
		got, err := bounded(func() (sample, error) { return w.run(ctx, c, s, set) }, set.sample+stuckAfter)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", w.title, s.name, err)
		}
		r.add(w, s, got)
	}
	return nil
}

// stuckAfter is how much longer than it should a measurement may take.
const stuckAfter = 30 * time.Second

// bounded does not wait for ever for what got stuck; the program ends then.
func bounded(f func() (sample, error), d time.Duration) (sample, error) {
	type result struct {
		sample
		error
	}
	done := make(chan result, 1)
	go func() {
		s, err := f()
		done <- result{s, err}
	}()
	select {
	case r := <-done:
		return r.sample, r.error
	case <-time.After(d):
		return nil, fmt.Errorf("no end after %v", d)
	}
}

// versionOf is the version of a module in this program.
func versionOf(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}
