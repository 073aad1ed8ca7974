package demo

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
	// session: it meets the client with a session alone.
	session bool
	// hit does it, and returns once it is over. When ctx ends that is early.
	hit func(ctx context.Context, d *demo, in *incident)
}

var faults = []fault{
	{"blocked", "a proxy refuses WebSocket, then it gets through again", 6500 * time.Millisecond, true, blocked},
	{"restart", "the server dies and comes back on the same port", 2400 * time.Millisecond, false, restart},
	{"reset", "a TCP reset", time.Second, false, reset},
	{"freeze", "the link is half-open: nothing gets through, nothing fails", 2300 * time.Millisecond, false, freeze},
	{"overload", "the server drops its clients and answers 503 with Retry-After", 2 * time.Second, false, overload},
	{"close1012", "the server closes with 1012, service restart", time.Second, false, close1012},
	{"offline", "this host loses its network, as Options.Network tells", 2100 * time.Millisecond, false, offline},
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
const lead = 750 * time.Millisecond

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
// again and again while there is time for all of them. The blockade comes
// first, so that the way back from it is seen before WebSocket has died often.
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
		order := rng.Perm(len(chosen))
		if i := slices.IndexFunc(order, func(i int) bool { return chosen[i].session }); i > 0 {
			order[0], order[i] = order[i], order[0]
		}
		for _, i := range order {
			at += time.Duration(float64(free) * pauses[len(script)] / sum)
			script = append(script, scheduled{chosen[i], at})
			at += chosen[i].takes
		}
	}
	return script
}

// incident is a fault that has happened.
type incident struct {
	fault
	at       time.Time
	possible time.Time  // from when on a client could connect: see open
	back     []*arrival // by lane, of what was sent since then
	over     bool       // it was not cut short
	dials    []int      // handshakes of each lane while there was no network (offline)
	from     string     // the transport in use when WebSocket was refused (blocked)
	lifted   time.Time  // when it got through again
}

// open says that from now on a client can connect.
func (in *incident) open(d *demo) {
	in.possible, in.back = time.Now(), nil
	for _, l := range d.lanes {
		in.back = append(in.back, l.await())
	}
}

// play lets the script happen; it returns when that is over, when ctx ends or
// when a client does not recover.
func (d *demo) play(ctx context.Context, script []scheduled) {
	for _, f := range script {
		sleep(ctx, time.Until(d.start.Add(f.at)))
		if !d.settle(ctx) || ctx.Err() != nil {
			return
		}
		in := incident{fault: f.fault, at: time.Now()}
		d.begin(f.name, in.at)
		f.hit(ctx, d, &in)
		if in.back == nil {
			in.open(d)
		}
		in.over = ctx.Err() == nil
		d.incidents = append(d.incidents, in)
		if !d.wait(context.WithoutCancel(ctx), func() bool { return d.recovered(in) }) {
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

// recovered says that every client is connected and gets messages again.
func (d *demo) recovered(in incident) bool {
	for i, l := range d.lanes {
		if !l.back(in.back[i]) {
			return false
		}
	}
	return true
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
	down := d.between(500*time.Millisecond, 1000*time.Millisecond)
	d.journal.say("restart: the server dies and is gone for %s", seconds(down))
	d.service.stop()
	sleep(ctx, down)
	in.open(d)
	if err := d.service.start(); err != nil {
		d.abort(err)
		return
	}
	d.journal.say("restart: the server is back")
}

func reset(_ context.Context, d *demo, _ *incident) {
	d.journal.say("reset: every connection gets a TCP reset")
	d.service.road.each((*roadConn).reset)
}

func freeze(ctx context.Context, d *demo, in *incident) {
	d.journal.say("freeze: every link is half-open: nothing gets through, nothing fails")
	var frozen []*roadConn
	d.service.road.each(func(c *roadConn) {
		c.freeze()
		frozen = append(frozen, c)
	})
	in.open(d)
	d.wait(ctx, func() bool { return d.recovered(*in) })
	for _, c := range frozen { // what was in flight never arrives
		c.drop()
	}
}

func overload(ctx context.Context, d *demo, in *incident) {
	d.journal.say("overload: the server drops its clients and answers 503, Retry-After %s", seconds(retryAfter))
	before := d.handshakes()
	d.service.setOverloaded(true)
	d.service.road.each((*roadConn).drop)
	d.wait(ctx, func() bool { return !slices.Contains(since(before, d.handshakes()), 0) })
	sleep(ctx, d.between(100*time.Millisecond, retryAfter/2))
	in.open(d)
	d.service.setOverloaded(false)
	d.journal.say("overload: the server takes clients again")
}

func close1012(ctx context.Context, d *demo, _ *incident) {
	d.journal.say("close1012: the server closes every link and session, 1012 service restart")
	d.service.close(ctx, holdfast.StatusServiceRestart, "restarting")
}

func blocked(ctx context.Context, d *demo, in *incident) {
	d.journal.say("blocked: a proxy answers WebSocket with 403, and cuts what is up")
	l := d.lanes[slices.IndexFunc(d.lanes, func(l *lane) bool { return l.session })]
	in.from = l.conn.Stats().Transport
	d.service.front.block(true)
	in.open(d)
	d.wait(ctx, func() bool { return d.recovered(*in) && l.conn.Stats().Transport != websocket })
	sleep(ctx, d.between(200*time.Millisecond, 400*time.Millisecond))
	in.lifted = time.Now()
	d.service.front.block(false)
	d.network.Signal() // so that WebSocket is tried after 5 s, however often it has been
	d.journal.say("blocked: the network has changed, and lets WebSocket through")
	d.wait(ctx, func() bool { return l.conn.Stats().Transport == websocket })
}

func offline(ctx context.Context, d *demo, in *incident) {
	length := d.between(time.Second, 1400*time.Millisecond)
	d.journal.say("offline: this host has no network for %s", seconds(length))
	before := d.handshakes()
	d.network.SetOnline(false)
	d.wait(context.WithoutCancel(ctx), func() bool { // even when cut short
		return !slices.ContainsFunc(d.lanes, func(l *lane) bool { return l.conn.State() != holdfast.StateOffline })
	})
	sleep(ctx, time.Until(in.at.Add(length)))
	in.dials = since(before, d.handshakes())
	in.open(d)
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
