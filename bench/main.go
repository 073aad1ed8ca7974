// Command bench measures Holdfast beside other WebSocket clients and raw TCP, in
// one run, over loopback.
//
//	go run .                     # some minutes; a table on the terminal
//	go run . -quick              # under a minute, and rougher
//	go run . -only 'send/128B'   # the rows that match, or rows with subjects: 'echo/.*/(coder|holdfast)$'
//	go run . -json out.json -svg out.svg
//
// One server in a process of its own serves every subject in the same way. It
// counts each message and checksums its payload; a run in which one is missing or
// different fails. In each round every subject is measured once, and the order
// moves on by one from round to round. What counts are ratios within a round: the
// table gives their medians. It needs a machine with nothing else to do.
//
// How like is compared with like:
//
//   - Each library is called in the way that it is fastest: coder without contexts
//     that can end, gobwas by frames with one write each, gws in its callback. Where
//     buffers of 64 KiB in place of the default of 4 KiB may help, there is a second
//     column, as for "gorilla 64K".
//   - A message is sent when it has arrived: the time ends when the far end has said
//     what it has. Holdfast's ends when Flush has returned, too.
//   - Owned means that the message received may be kept; borrowed, that one buffer is
//     used again and again. coder.Read has no borrowed form, and stands beside for
//     comparison.
//   - Raw TCP is the bound: frames without masks, 64 KiB a write when sending.
//   - nats.go sends to nats-server, which hands the messages to no subscriber, and
//     counts them; a subscriber checksums some before.
//   - An idle connection is one that answers pings and notices its end: for that, a
//     goroutine waits in a read where the library does not read by itself.
//   - gorilla splits what is larger than its write buffer into frames, which the
//     server puts together.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	if os.Getenv(serverVariable) != "" {
		exit(serve(os.Stdin, os.Stdout))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func exit(err error) {
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// settings are what the flags say.
type settings struct {
	rounds      int
	sample      time.Duration // how long one measurement of a rate or a latency takes
	connections int           // of the idle row
	only        *regexp.Regexp
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	quick := flags.Bool("quick", false, "short measurements: under a minute in all, and rougher")
	rounds := flags.Int("rounds", 5, "how many `rounds`")
	only := flags.String("only", "", "measure only what matches this regular `expression`: row/subject, such as send/128B/coder")
	jsonFile := flags.String("json", "", "write everything measured to this `file`")
	svgFile := flags.String("svg", "", "draw a chart into this `file`")
	markdownFile := flags.String("markdown", "", "write the README's tables to this `file`")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("there is no argument %q", flags.Arg(0))
	}
	if *rounds < 1 {
		return errors.New("-rounds must be at least 1")
	}
	expression, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	s := settings{rounds: *rounds, sample: 300 * time.Millisecond, connections: 1000, only: expression}
	if *quick {
		s.sample, s.connections = 40*time.Millisecond, 200
	}
	r, err := measure(ctx, s, stderr)
	if err != nil {
		return err
	}
	if *jsonFile != "" {
		b, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*jsonFile, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name string
		draw func(io.Writer, *report)
	}{{*svgFile, chart}, {*markdownFile, markdown}} {
		if file.name == "" {
			continue
		}
		var b bytes.Buffer
		file.draw(&b, r)
		if err := os.WriteFile(file.name, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	table(stdout, r)
	return nil
}
