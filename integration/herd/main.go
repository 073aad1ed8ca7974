// Herd connects thousands of clients to one server, kills the server, starts it
// again, and shows how the clients come back.
//
//	go run ./herd                                  # 5,000 clients, three policies
//	go run ./herd -clients 300 -down 1s -policy default
//	go run ./herd -json
//	go run ./herd -docs ../docs                    # puts the figures into docs/storms.md
//
// Client and server are two processes on loopback; the server is package server,
// without its limits by address. A client is back when its Conn is connected.
// In the end each one sends a message, and has to get it back. It exits with 1 if
// one does not, or does not come back, and with 2 for a wrong command line.
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
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holdfast-ws/holdfast/integration/internal/page"
	"github.com/holdfast-ws/holdfast/integration/internal/policy"
)

// plan is what the command line asks for.
type plan struct {
	clients  int
	down     time.Duration
	limit    time.Duration
	policies []policy.Policy
	json     bool
	docs     string
}

func main() {
	if addr := os.Getenv(serverVariable); addr != "" {
		os.Exit(serve(addr, os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func command(ctx context.Context, args []string, out, errs io.Writer) int {
	p, err := parse(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(errs, "herd: %v\n", err)
		return 2
	}
	live := out
	if p.json {
		live = errs
	}
	var results []*result
	for _, one := range p.policies {
		r, err := stampede(ctx, p, one, live)
		if ctx.Err() != nil {
			return 130
		}
		if err != nil {
			fmt.Fprintf(errs, "herd: %s: %v\n", one.Name, err)
			return 1
		}
		results = append(results, r)
	}
	if p.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(results); err != nil {
			fmt.Fprintf(errs, "herd: %v\n", err)
			return 1
		}
		return 0
	}
	table(out, p, results)
	if p.docs != "" {
		if err := page.Write(filepath.Join(p.docs, "storms.md"), "herd", markdown(p, results)); err != nil {
			fmt.Fprintf(errs, "herd: flag -docs: %v\n", err)
			return 1
		}
	}
	return 0
}

func parse(args []string, out io.Writer) (*plan, error) {
	p := &plan{}
	f := flag.NewFlagSet("herd", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&p.clients, "clients", 5000, "how many `clients`")
	f.DurationVar(&p.down, "down", 5*time.Second, "how long the server is down")
	f.DurationVar(&p.limit, "limit", 3*time.Minute, "how long all may take to come back")
	names := f.String("policy", "default,fixed,exponential", "`policies`, separated by commas")
	initial := f.Duration("initial", policy.Default.Initial, "the bound of the first delay, and the fixed delay")
	longest := f.Duration("max", policy.Default.Max, "the bound of every delay")
	f.StringVar(&p.docs, "docs", "", "put the figures into storms.md in this `folder`")
	f.BoolVar(&p.json, "json", false, "print the results as JSON; times are nanoseconds")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(out)
			f.Usage()
		}
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag", f.Arg(0))
	}
	if most := mostClients(); p.clients < 1 || p.clients > most {
		return nil, fmt.Errorf("flag -clients: %d is not between 1 and %d, which the limit of open files allows (ulimit -Hn)", p.clients, most)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"down", p.down}, {"limit", p.limit}, {"initial", *initial}, {"max", *longest}} {
		if d.value <= 0 {
			return nil, fmt.Errorf("flag -%s: %v is not positive", d.name, d.value)
		}
	}
	if p.docs != "" && p.json {
		return nil, errors.New("flag -docs: not together with -json")
	}
	if *longest < *initial {
		return nil, fmt.Errorf("flag -max: %v is less than -initial, %v", *longest, *initial)
	}
	for _, name := range strings.Split(*names, ",") {
		switch strings.TrimSpace(name) {
		case "default":
			p.policies = append(p.policies, policy.Policy{Name: "full jitter", Initial: *initial, Max: *longest, Jitter: true})
		case "fixed":
			p.policies = append(p.policies, policy.Policy{Name: "fixed", Initial: *initial, Max: *initial})
		case "exponential":
			p.policies = append(p.policies, policy.Policy{Name: "exponential", Initial: *initial, Max: *longest})
		default:
			return nil, fmt.Errorf("flag -policy: there is no %q; there are default, fixed, exponential", name)
		}
	}
	return p, nil
}

func table(out io.Writer, p *plan, results []*result) {
	fmt.Fprintf(out, "\n%d clients, the server down for %v\n", p.clients, p.down)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "delays\tattempts\tmost accepts, in 1 s\tin 0.1 s\t99 % back, s\tall back, s\tanswered")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.1f\t%.1f\t%d\n", r.Policy, r.Attempts, r.PeakSecond, r.PeakStep, r.Back99.Seconds(), r.BackAll.Seconds(), r.Answered)
	}
	_ = t.Flush()
}
