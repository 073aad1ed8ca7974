// Chaos does harm to one connection after another, through toxiproxy on loopback,
// and shows what became of the messages.
//
//	go run ./chaos                                       # every scenario, over both transports
//	go run ./chaos -list                                 # what there is
//	go run ./chaos -scenario latency,reset -transport websocket -messages 5000 -seed 7
//	go run ./chaos -json
//
// Client and server send numbered messages with checksums to one another: some in
// peace, some while the harm stands, the rest after it. How much harm, and when,
// follows from the seed, but for toxiproxy's own jitter. It exits with 1 if a
// message was lost, doubled, out of order or damaged, or if the session did not
// live through it, and with 2 for a wrong command line.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/holdfast-ws/holdfast/integration/internal/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// plan is what the command line asks for.
type plan struct {
	scenarios  []chaos.Scenario
	transports []string
	messages   int
	seed       uint64
	list, json bool
}

func command(ctx context.Context, args []string, out, errs io.Writer) int {
	p, err := parse(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(errs, "chaos: %v\n", err)
		return 2
	case p.list:
		for _, s := range p.scenarios {
			fmt.Fprintf(out, "%-12s %s\n", s.Name, s.Meaning)
		}
		return 0
	}
	var results []*chaos.Result
	ok := true
	for _, s := range p.scenarios {
		for _, transport := range p.transports {
			fmt.Fprintf(errs, "%s over %s: %s\n", s.Name, transport, s.Meaning)
			r := chaos.Run(ctx, s, transport, p.messages, p.seed)
			results = append(results, r)
			ok = ok && r.OK()
			if ctx.Err() != nil {
				return 130
			}
		}
	}
	if p.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(results); err != nil {
			fmt.Fprintf(errs, "chaos: %v\n", err)
			return 1
		}
	} else {
		fmt.Fprintln(out)
		chaos.Table(out, results)
	}
	if !ok {
		return 1
	}
	return 0
}

func parse(args []string, out io.Writer) (*plan, error) {
	p := &plan{}
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	scenario := f.String("scenario", "all", "`names` of scenarios, separated by commas; -list shows them")
	transport := f.String("transport", "both", "websocket, longpoll or both")
	f.IntVar(&p.messages, "messages", 1500, "`messages` in each direction")
	f.Uint64Var(&p.seed, "seed", 1, "what the harm is drawn from")
	f.BoolVar(&p.list, "list", false, "list the scenarios")
	f.BoolVar(&p.json, "json", false, "print the results as JSON; times are nanoseconds")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(out)
			f.Usage()
		}
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag: -scenario names scenarios", f.Arg(0))
	}
	if p.messages < chaos.FewestMessages || p.messages > 1_000_000 {
		return nil, fmt.Errorf("flag -messages: %d is not between %d and 1000000", p.messages, chaos.FewestMessages)
	}
	switch {
	case *transport == "both":
		p.transports = chaos.Transports
	case slices.Contains(chaos.Transports, *transport):
		p.transports = []string{*transport}
	default:
		return nil, fmt.Errorf("flag -transport: there is no %q; there are websocket, longpoll and both", *transport)
	}
	if *scenario == "all" {
		p.scenarios = chaos.Scenarios
		return p, nil
	}
	for _, name := range strings.Split(*scenario, ",") {
		s, err := chaos.Find(strings.TrimSpace(name))
		if err != nil {
			return nil, fmt.Errorf("flag -scenario: %w", err)
		}
		p.scenarios = append(p.scenarios, s)
	}
	return p, nil
}
