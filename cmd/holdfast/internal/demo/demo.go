// Package demo is the command holdfast demo: a server, clients and faults in one
// process.
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// patience bounds every wait for something that should take a moment.
const patience = 10 * time.Second

const maxDuration = time.Hour

// settings are what the flags of demo say.
type settings struct {
	duration time.Duration
	faults   []fault
	seed     uint64
}

// demoFlags reads the command line of demo. The error names the flag.
func demoFlags(args []string) (settings, error) {
	s := settings{duration: 20 * time.Second, faults: faults, seed: rand.Uint64N(1_000_000)}
	fs := flag.NewFlagSet("demo", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Func("duration", "", func(v string) (err error) {
		if s.duration, err = time.ParseDuration(v); err != nil {
			return errors.New("a duration looks like 20s or 1m30s")
		}
		if s.duration > maxDuration {
			return fmt.Errorf("at most %v", maxDuration)
		}
		return nil
	})
	fs.Func("faults", "", func(v string) (err error) {
		s.faults, err = parseFaults(v)
		return err
	})
	fs.Uint64Var(&s.seed, "seed", s.seed, "")
	if err := fs.Parse(args); err != nil {
		return s, err
	}
	if fs.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if least := shortest(s.faults); s.duration < least {
		return s, fmt.Errorf("flag -duration: %v is too short for these faults, which need %v; choose fewer with -faults", s.duration, least)
	}
	return s, nil
}

func demoHelp() string {
	var b strings.Builder
	b.WriteString(`Usage: holdfast demo [--duration 20s] [--faults LIST] [--seed N]

Starts servers on loopback ports and three clients in this process. Clients and
servers send each other numbered messages while faults hit the links. It draws
what happens, then compares what was sent with what arrived, and checks what
Holdfast promises.

Two clients talk to a plain WebSocket server. One delivers at least once: what
may have been lost is sent again. The other delivers at most once: nothing is
sent twice, and what may have been lost is counted. The third has a session with
package server, so that everything arrives exactly once, both ways, and falls
back on long polling where WebSocket is blocked, or keeps dying.

A session is in the memory of its server. So restart takes away the front that
stands before that, as a proxy would, and not the server: that would be the end
of the session, and of the promise for what was under way. close1012 does end
the session, in good order, and the next one goes on with the next message.

  --duration D   how long, 20s by default, at most 1h; the longer, the more faults
  --faults LIST  which faults, separated by commas; all, the default; or none
  --seed N       the order and the moments of the faults; drawn by default

Faults:
`)
	for _, f := range faults {
		fmt.Fprintf(&b, "  %-10s  %s\n", f.name, f.about)
	}
	b.WriteString(`
Plain lines take the place of the picture when the output is no terminal, and
when NO_COLOR is set. Ctrl-C ends the run early and in order.

Exit codes: 0 every promise held; 1 one did not, or the run failed; 2 a wrong
flag; 130 stopped by Ctrl-C or SIGTERM while every promise held.
`)
	return b.String()
}

// Run is the command.
func Run(args []string, out cli.Streams) int {
	s, err := demoFlags(args)
	if err != nil {
		return cli.Usage("demo", demoHelp(), err, out)
	}
	v := newView(out.Out, s)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		v.interrupted()
		stop() // a second signal ends it at once
	})
	t, err := newDemo(s, loopback).run(ctx, v)
	switch {
	case err != nil:
		fmt.Fprintf(out.Err, "holdfast demo: %v\n", err)
	case !t.held():
		return cli.ExitFailed
	}
	switch {
	case ctx.Err() != nil:
		return cli.ExitInterrupted
	case err != nil:
		return cli.ExitFailed
	}
	return cli.ExitOK
}

// demo is one run.
type demo struct {
	settings
	place   place
	start   time.Time
	rng     *rand.Rand // of the script
	network *holdfasttest.Network
	service *service
	lanes   []*lane
	journal *journal

	incidents []incident // play's, until it has returned

	mu      sync.Mutex
	marks   []mark
	failure error // of the demo itself
	lag     time.Duration
	cancel  context.CancelFunc
}

func newDemo(s settings, p place) *demo {
	d := &demo{settings: s, place: p, start: time.Now(), rng: rand.New(rand.NewPCG(s.seed, 0)),
		network: holdfasttest.NewNetwork(), lanes: newLanes()}
	d.journal = newJournal(d.start)
	d.service = newService(p, d.lanes)
	return d
}

// run plays the script, shows it, and returns the tally.
func (d *demo) run(ctx context.Context, v view) (*tally, error) {
	ctx, d.cancel = context.WithCancel(ctx)
	defer d.cancel()
	defer d.service.end()
	if err := d.service.start(); err != nil {
		return nil, err
	}
	for i, l := range d.lanes {
		if err := l.dial(ctx, d); err != nil {
			for _, l := range d.lanes[:i] {
				_ = l.conn.CloseNow()
				l.joined.Wait()
			}
			return nil, err
		}
	}
	done := make(chan struct{})
	var endings []ending
	go func() {
		defer close(done)
		endings = d.live(ctx)
	}()
	d.watch(v, done)
	d.service.end() // its goroutines may still write
	t := d.tally(endings, time.Since(d.start))
	v.end(t)
	return t, d.failure
}

// live is all that happens between the first connection and the last.
func (d *demo) live(ctx context.Context) []ending {
	var busy sync.WaitGroup
	sendCtx, stopSending := context.WithCancel(context.Background())
	defer stopSending()
	busy.Go(func() { d.measureLag(sendCtx) })
	for _, l := range d.lanes {
		busy.Go(func() { l.send(sendCtx) })
		busy.Go(func() { l.confirm(sendCtx) })
	}
	d.play(ctx, schedule(d.faults, d.duration, d.rng))
	until(ctx, time.Until(d.start.Add(d.duration)), d.ended)
	if ctx.Err() != nil {
		d.journal.say("stopped early; the clients finish what they have begun")
	}
	d.settle(context.WithoutCancel(ctx)) // so that nothing is left to luck
	d.service.hush()
	stopSending()
	busy.Wait()
	endings := make([]ending, len(d.lanes))
	for i, l := range d.lanes {
		busy.Go(func() { endings[i] = l.end() })
	}
	busy.Wait()
	return endings
}

// watch shows the run, ten times a second, until done.
func (d *demo) watch(v view, done <-chan struct{}) {
	w := newWatcher(d)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		v.show(w.sample(time.Now()), d.journal.take())
		select {
		case <-tick.C:
		case <-done:
			v.show(w.sample(time.Now()), d.journal.take())
			return
		}
	}
}

// measureLag finds out how late this machine's timers are, for the sake of
// the checks that compare times.
func (d *demo) measureLag(ctx context.Context) {
	for ctx.Err() == nil {
		due := time.Now().Add(pace)
		sleep(ctx, pace)
		late := time.Since(due)
		d.mu.Lock()
		d.lag = max(d.lag, late)
		d.mu.Unlock()
	}
}

// begin notes that a fault begins.
func (d *demo) begin(fault string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.marks = append(d.marks, mark{fault, at.Sub(d.start)})
}

func (d *demo) marked() []mark {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.marks)
}

// abort ends the run because the demo itself cannot go on.
func (d *demo) abort(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failure = err
	d.cancel()
}
