package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// fault is something that happens to the link. To add one, add a row.
type fault struct {
	name  string
	about string
	takes time.Duration // with the recovery from it, as a rule
	// hit does it, and returns once it is over. When ctx ends that is early.
	hit func(ctx context.Context, d *demo, in *incident)
}

var faults = []fault{
	{"restart", "the server dies and comes back on the same port", 3200 * time.Millisecond, restart},
	{"reset", "a TCP reset", 1500 * time.Millisecond, reset},
	{"freeze", "the link is half-open: nothing gets through, nothing fails", 3500 * time.Millisecond, freeze},
	{"overload", "the server drops its clients and answers 503 with Retry-After", 2500 * time.Millisecond, overload},
	{"close1012", "the server closes with 1012, service restart", 1500 * time.Millisecond, close1012},
	{"offline", "this host loses its network, as Options.Network tells", 3000 * time.Millisecond, offline},
}

// faultNames lists all faults.
func faultNames() []string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.name
	}
	return names
}

// parseFaults reads a list of names, or "all" or "none".
func parseFaults(list string) ([]fault, error) {
	switch list {
	case "all":
		return faults, nil
	case "none":
		return nil, nil
	}
	var chosen []fault
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q; there are %s, and all and none", name, strings.Join(faultNames(), ", "))
		}
		chosen = append(chosen, faults[i])
	}
	return chosen, nil
}

// lead is the quiet time at the start and at the end of a run.
const lead = time.Second

// scheduled is a fault and when it is due, since the start.
type scheduled struct {
	fault
	at time.Duration
}

// shortest is the least time for a run with these faults.
func shortest(chosen []fault) time.Duration {
	d := 2 * lead
	for _, f := range chosen {
		d += f.takes
	}
	return d
}

// schedule puts the faults into an order and spreads them over the duration,
// again and again while there is time for all of them.
func schedule(chosen []fault, duration time.Duration, rng *rand.Rand) []scheduled {
	if len(chosen) == 0 {
		return nil
	}
	takes := shortest(chosen) - 2*lead
	rounds := max(1, int((duration-2*lead)/(takes+takes/4)))
	free := duration - 2*lead - time.Duration(rounds)*takes
	pauses := make([]float64, rounds*len(chosen)+1)
	var sum float64
	for i := range pauses {
		pauses[i] = rng.Float64()
		sum += pauses[i]
	}
	var script []scheduled
	at := lead
	for range rounds {
		for _, i := range rng.Perm(len(chosen)) {
			at += time.Duration(float64(free) * pauses[len(script)] / sum)
			script = append(script, scheduled{chosen[i], at})
			at += chosen[i].takes
		}
	}
	return script
}

// incident is a fault that has happened.
type incident struct {
	name     string
	at       time.Time
	possible time.Time // from when on a client could connect; at, unless hit says otherwise
	over     bool      // it was not cut short
	epochs   []uint64  // of each lane when it began
	dials    []int     // handshakes of each lane while there was no network (offline)
}

// play lets the script happen; it returns when that is over, when ctx ends or
// when a client does not recover.
func (d *demo) play(ctx context.Context, script []scheduled) {
	for _, f := range script {
		sleep(ctx, time.Until(d.start.Add(f.at)))
		if !d.settle(ctx) || ctx.Err() != nil {
			return
		}
		now := time.Now()
		in := incident{name: f.name, at: now, possible: now, epochs: d.epochs()}
		d.begin(f.name, now)
		f.hit(ctx, d, &in)
		in.over = ctx.Err() == nil
		d.incidents = append(d.incidents, in)
		if !d.wait(context.WithoutCancel(ctx), func() bool { return d.reconnected(in) }) {
			return
		}
	}
}

// settle waits until every client has been connected for a while.
func (d *demo) settle(ctx context.Context) bool {
	return d.wait(ctx, func() bool {
		return !slices.ContainsFunc(d.lanes, func(l *lane) bool { return !l.settled() })
	})
}

// wait waits until ok, with patience; false too when a client has ended.
func (d *demo) wait(ctx context.Context, ok func() bool) bool {
	return until(ctx, patience, func() bool { return d.ended() || ok() }) && !d.ended()
}

// ended says that a client has ended by itself.
func (d *demo) ended() bool {
	return slices.ContainsFunc(d.lanes, func(l *lane) bool { return l.conn.State() == holdfast.StateClosed })
}

// reconnected says that every client has a newer link than when it began.
func (d *demo) reconnected(in incident) bool {
	for i, epoch := range d.epochs() {
		if epoch <= in.epochs[i] || d.lanes[i].conn.State() != holdfast.StateConnected {
			return false
		}
	}
	return true
}

func (d *demo) epochs() (all []uint64) {
	for _, l := range d.lanes {
		all = append(all, l.epoch())
	}
	return all
}

func (d *demo) handshakes() (all []int) {
	for _, l := range d.lanes {
		all = append(all, l.handshakeCount())
	}
	return all
}

// between draws a duration.
func (d *demo) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.rng.Int64N(int64(high-low)))
}

func restart(ctx context.Context, d *demo, in *incident) {
	down := d.between(600*time.Millisecond, 1200*time.Millisecond)
	d.journal.say("restart: the server dies and is gone for %s", seconds(down))
	d.service.stop()
	sleep(ctx, down)
	in.possible = time.Now()
	if err := d.service.start(); err != nil {
		d.abort(err)
		return
	}
	d.journal.say("restart: the server is back")
}

func reset(_ context.Context, d *demo, _ *incident) {
	d.journal.say("reset: every connection gets a TCP reset")
	d.service.current().ResetAll()
}

func freeze(ctx context.Context, d *demo, in *incident) {
	d.journal.say("freeze: every link is half-open: nothing gets through, nothing fails")
	frozen := d.service.current().Peers()
	d.service.current().FreezeAll(true)
	d.wait(ctx, func() bool { return d.reconnected(*in) })
	for _, p := range frozen { // what was in flight never arrives
		p.Drop()
	}
}

func overload(ctx context.Context, d *demo, in *incident) {
	d.journal.say("overload: the server drops its clients and answers 503, Retry-After %s", seconds(retryAfter))
	before := d.handshakes()
	d.service.setOverloaded(true)
	d.service.current().DropAll()
	d.wait(ctx, func() bool { return !slices.Contains(since(before, d.handshakes()), 0) })
	sleep(ctx, d.between(100*time.Millisecond, retryAfter/2))
	in.possible = time.Now()
	d.service.setOverloaded(false)
	d.journal.say("overload: the server takes clients again")
}

func close1012(_ context.Context, d *demo, _ *incident) {
	d.journal.say("close1012: the server closes every link, 1012 service restart")
	d.service.current().CloseAll(uint16(holdfast.StatusServiceRestart), "restarting")
}

func offline(ctx context.Context, d *demo, in *incident) {
	length := d.between(1200*time.Millisecond, 1700*time.Millisecond)
	d.journal.say("offline: this host has no network for %s", seconds(length))
	before := d.handshakes()
	d.network.SetOnline(false)
	d.wait(context.WithoutCancel(ctx), func() bool { // even when cut short
		return !slices.ContainsFunc(d.lanes, func(l *lane) bool { return l.conn.State() != holdfast.StateOffline })
	})
	sleep(ctx, time.Until(in.at.Add(length)))
	in.dials = since(before, d.handshakes())
	in.possible = time.Now()
	d.network.SetOnline(true)
}

// since returns how much each number has grown.
func since(before, now []int) []int {
	grown := make([]int, len(now))
	for i, n := range now {
		grown[i] = n - before[i]
	}
	return grown
}
