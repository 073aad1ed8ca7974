// Simulate lets a million clients lose their server and come back, in virtual time,
// with one way of spacing attempts after the other.
//
//	go run ./simulate                                          # a server down for 30 s that takes 20,000 a second
//	go run ./simulate -rate 0 -outage 10s                      # one without a limit
//	go run ./simulate -clients 50000 -initial 2s -max 1m       # with delays of your own, in place of the default's
//	go run ./simulate -docs ../docs                            # writes the figures and the chart of docs/storms.md
//
// The same flags give the same figures. It exits with 2 for a wrong command line.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/holdfast-ws/holdfast/integration/internal/page"
	"github.com/holdfast-ws/holdfast/integration/internal/policy"
	"github.com/holdfast-ws/holdfast/integration/internal/simulation"
)

// plan is what the command line asks for.
type plan struct {
	world    simulation.Config
	policies []policy.Policy
	docs     string
}

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

func command(args []string, out, errs io.Writer) int {
	p, err := parse(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(errs, "simulate: %v\n", err)
		return 2
	case p.docs != "":
		if err := writeDocs(p.docs); err != nil {
			fmt.Fprintf(errs, "simulate: %v\n", err)
			return 1
		}
		return 0
	}
	c := p.world
	limit := "takes any number"
	if c.Rate > 0 {
		limit = fmt.Sprintf("takes %s a second and lets %s wait", page.Grouped(c.Rate), page.Grouped(c.Backlog))
	}
	fmt.Fprintf(out, "%s clients notice within %v; the server is down for %v, then %s; seed %d\n", page.Grouped(c.Clients), c.Spread, c.Outage, limit, c.Seed)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "delays\tattempts\tmost attempts a second\tmost accepts a second\t99 % back, s\tall back, s\tgave up\t")
	for _, one := range p.policies {
		c.Policy = one
		o := simulation.Run(c)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", one.Name, page.Grouped(o.Attempts), page.Grouped(o.PeakAttempts), page.Grouped(o.PeakAccepts),
			seconds(o.Back99), seconds(o.BackAll), page.Grouped(o.GaveUp))
	}
	_ = t.Flush()
	return 0
}

func parse(args []string, out io.Writer) (*plan, error) {
	p := &plan{policies: policy.All}
	f := flag.NewFlagSet("simulate", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&p.world.Clients, "clients", million, "how many `clients`")
	f.DurationVar(&p.world.Outage, "outage", 30*time.Second, "how long the server is down, in tenths of a second")
	f.DurationVar(&p.world.Spread, "spread", spread, "how long it takes until the last client notices")
	f.IntVar(&p.world.Rate, "rate", rate, "`connections` that the server takes a second; 0: any number")
	f.IntVar(&p.world.Backlog, "backlog", backlog, "`connections` that may wait for that; more are refused at once")
	f.IntVar(&p.world.MaxRetries, "retries", -1, "after how many `retries` a client gives up; negative: never")
	f.Uint64Var(&p.world.Seed, "seed", 1, "what the delays are drawn from")
	initial := f.Duration("initial", 0, "adds a policy with full jitter and this bound of the first delay")
	longest := f.Duration("max", 0, "the bound of every delay of that policy")
	f.StringVar(&p.docs, "docs", "", "write the figures and the chart of storms.md in this `folder`")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(out)
			f.Usage()
		}
		return nil, err
	}
	switch c := &p.world; {
	case f.NArg() > 0:
		return nil, fmt.Errorf("%q is no flag", f.Arg(0))
	case p.docs != "" && f.NFlag() > 1:
		return nil, errors.New("flag -docs: goes alone, as its figures have settings of their own")
	case c.Clients < 1 || c.Clients > 20*million:
		return nil, fmt.Errorf("flag -clients: %d is not between 1 and %d", c.Clients, 20*million)
	case c.Outage < 0 || c.Outage > time.Hour || c.Outage%simulation.Step != 0:
		return nil, fmt.Errorf("flag -outage: %v is not tenths of a second up to an hour", c.Outage)
	case c.Spread < 0 || c.Spread > time.Hour:
		return nil, fmt.Errorf("flag -spread: %v is not between 0 and an hour", c.Spread)
	case c.Rate < 0 || c.Rate > int(time.Second):
		return nil, fmt.Errorf("flag -rate: %d is not between 0 and %d", c.Rate, time.Second)
	case c.Backlog < 0:
		return nil, fmt.Errorf("flag -backlog: %d is negative", c.Backlog)
	case *initial < 0 || *longest < 0:
		return nil, errors.New("flags -initial and -max: delays are not negative")
	case *initial == 0 && *longest == 0:
		return p, nil
	}
	own := policy.Default
	if *initial > 0 {
		own.Initial = *initial
	}
	if *longest > 0 {
		own.Max = *longest
	}
	if own.Max < own.Initial || own.Max > time.Hour || own.Initial < time.Millisecond {
		return nil, fmt.Errorf("flags -initial and -max: %v and %v are not between 1ms and an hour, the first not the longer", own.Initial, own.Max)
	}
	own.Name = fmt.Sprintf("full jitter, %v to %v", own.Initial, own.Max)
	p.policies = append(append([]policy.Policy(nil), policy.All...), own)
	return p, nil
}

func seconds(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return fmt.Sprintf("%.1f", d.Seconds())
}
