package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// port is the last one that was listened on.
var port atomic.Int32

// play runs a demo in a bubble, in memory and in virtual time. What it leaves
// running fails the test.
func play(t *testing.T, ctx func(context.Context) context.Context, s settings) (tl *tally, output string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := holdfasttest.NewMemory()
		listen := func(addr string) (net.Listener, error) {
			if strings.HasSuffix(addr, ":0") { // what is known of an origin is kept for the process
				addr = fmt.Sprintf("127.0.0.1:%d", port.Add(1))
			}
			return m.Listen(addr)
		}
		var b strings.Builder
		var err error
		began := time.Now()
		tl, err = newDemo(s, place{listen, m.DialContext}).run(ctx(t.Context()), newPlain(&b, s))
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(began), s.duration+patience)
		output = b.String()
	})
	return tl, output
}

func always(ctx context.Context) context.Context { return ctx }

func allFaults(seed uint64) settings {
	return settings{duration: 20 * time.Second, faults: faults, seed: seed}
}

// only makes settings for faults that are not in the table.
func only(f ...fault) settings {
	s := settings{faults: f, seed: 1}
	s.duration = shortest(f) + time.Second
	return s
}

func failed(tl *tally) (promises []string) {
	for _, c := range tl.checks {
		if len(c.faults) > 0 {
			promises = append(promises, c.promise)
		}
	}
	return promises
}

func TestEveryPromiseHolds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		tl, output := play(t, always, allFaults(seed))
		require.True(t, tl.held(), "seed %d:\n%s", seed, output)
		assert.Len(t, tl.checks, 13, "all of them were exercised")
		assert.Len(t, tl.incidents, len(faults))
		assert.WithinDuration(t, tl.start.Add(20*time.Second), tl.start.Add(tl.took), time.Second)
		for _, b := range tl.lanes {
			assert.Greater(t, b.up.sent, uint64(1850), b.name)
			assert.GreaterOrEqual(t, b.silence, foundWithin, "the freeze is an outage: %s", b.name)
			if b.session {
				assert.Equal(t, count{sent: b.up.sent, received: b.up.sent}, b.up)
				assert.Equal(t, count{sent: b.down.sent, received: b.down.sent}, b.down)
				assert.NotZero(t, b.fell)
				assert.EqualValues(t, 1, b.climbed)
				continue
			}
			assert.EqualValues(t, len(faults)-1, b.reconnects(), b.name)
			if b.delivery == holdfast.AtLeastOnce {
				assert.NotZero(t, b.up.repeated)
			} else {
				assert.NotZero(t, b.up.missing)
			}
		}
	}
}

func TestLongRunHasMoreFaults(t *testing.T) {
	t.Parallel()
	tl, output := play(t, always, settings{duration: 48 * time.Second, faults: faults, seed: 3})
	assert.True(t, tl.held(), output)
	assert.Len(t, tl.incidents, 2*len(faults))
}

func TestNoFaults(t *testing.T) {
	tl, output := play(t, always, settings{duration: 3 * time.Second, seed: 1})
	assert.True(t, tl.held(), output)
	for _, b := range tl.lanes {
		assert.Equal(t, count{sent: b.up.sent, received: b.up.sent}, b.up)
		assert.Equal(t, count{sent: b.down.sent, received: b.down.sent}, b.down)
		assert.Zero(t, b.reconnects())
	}
}

func TestEachFaultAlone(t *testing.T) {
	t.Parallel()
	says := map[string]string{
		"restart": "failed: server down", "reset": "connection reset", "freeze": "no pong", "overload": "status 503, Retry-After 1.00 s",
		"close1012": "closed by the server, 1012", "offline": "offline, ", "blocked": "fell back on longpoll: blocked, status 403",
	}
	for _, f := range faults {
		s := only(f)
		tl, output := play(t, always, s)
		assert.True(t, tl.held(), output)
		assert.Contains(t, output, says[f.name])
		assert.Contains(t, output, f.name+" at ")
		assert.Equal(t, f.name == "blocked", strings.Contains(output, "climbed back to websocket"), output)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	for after := time.Duration(0); after < 20*time.Second; after += 2300 * time.Millisecond {
		tl, output := play(t, func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(after+time.Millisecond, cancel)
			return ctx
		}, allFaults(1))
		assert.True(t, tl.held(), output)
		assert.Less(t, tl.took, after+5*time.Second)
		assert.Contains(t, output, "stopped early")
	}
}

// What a client or server does wrong must show: each of these makes it do so.
func TestAnErrorShows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		hit    func(ctx context.Context, d *demo, in *incident)
		failed string
	}{
		{"a number between links is left out", func(ctx context.Context, d *demo, _ *incident) {
			d.lanes[0].mu.Lock()
			d.lanes[0].downSent++
			d.lanes[0].mu.Unlock()
			reset(ctx, d, nil)
		}, ""},
		{"a number inside a link is left out", func(ctx context.Context, d *demo, _ *incident) {
			d.lanes[0].mu.Lock()
			d.lanes[0].downSent++
			d.lanes[0].mu.Unlock()
			sleep(ctx, 2*pace)
			reset(ctx, d, nil)
		}, "received in order"},
		{"a number comes again", func(ctx context.Context, d *demo, _ *incident) {
			d.lanes[1].mu.Lock()
			d.lanes[1].downSent--
			d.lanes[1].mu.Unlock()
			sleep(ctx, 2*pace)
			reset(ctx, d, nil)
		}, "received in order"},
		{"the client ends", func(_ context.Context, d *demo, _ *incident) {
			d.service.current().CloseAll(1000, "enough")
		}, "connected again"},
		{"the client sends something else", func(ctx context.Context, d *demo, _ *incident) {
			_ = d.lanes[0].conn.Send(ctx, holdfast.Text, []byte("hello"))
			sleep(ctx, pace)
			reset(ctx, d, nil)
		}, "in order"},
		{"the client sends a number twice", func(ctx context.Context, d *demo, _ *incident) {
			_ = d.lanes[1].conn.Send(ctx, holdfast.Text, []byte("1"))
			sleep(ctx, pace)
			reset(ctx, d, nil)
		}, "at most once"},
		{"a session leaves a number out", func(ctx context.Context, d *demo, _ *incident) {
			d.lanes[2].mu.Lock()
			d.lanes[2].downSent++
			d.lanes[2].mu.Unlock()
			reset(ctx, d, nil)
		}, "exactly once"},
		{"a client with a session sends a number twice", func(ctx context.Context, d *demo, _ *incident) {
			_ = d.lanes[2].conn.Send(ctx, holdfast.Text, []byte("1"))
			reset(ctx, d, nil)
		}, "exactly once"},
		{"the host was never offline", func(ctx context.Context, d *demo, in *incident) {
			in.name = "offline"
			reset(ctx, d, nil)
			sleep(ctx, time.Second)
			in.open(d)
			in.dials = []int{0, 0, 0}
		}, "offline"},
	} {
		tl, output := play(t, always, only(fault{name: "wrong", takes: 4 * time.Second, hit: c.hit}))
		if c.failed == "" {
			assert.True(t, tl.held(), output)
			continue
		}
		assert.False(t, tl.held(), "%s:\n%s", c.name, output)
		assert.Contains(t, strings.Join(failed(tl), "\n"), c.failed, c.name)
		assert.Contains(t, output, "did not hold. Run it again with --seed 1.")
	}
}

func TestNoPortToListenOn(t *testing.T) {
	none := errors.New("no port")
	_, err := newDemo(allFaults(1), place{listen: func(string) (net.Listener, error) { return nil, none }}).run(t.Context(), newPlain(&strings.Builder{}, settings{}))
	assert.ErrorIs(t, err, none)
}

func TestSeedDecidesTheScript(t *testing.T) {
	script := func(seed uint64) []scheduled {
		d := newDemo(allFaults(seed), loopback)
		return schedule(d.faults, d.duration, d.rng)
	}
	at := func(script []scheduled) (all []string) {
		for _, f := range script {
			all = append(all, f.name+" "+f.at.String())
		}
		return all
	}
	assert.Equal(t, at(script(4)), at(script(4)))
	assert.NotEqual(t, at(script(4)), at(script(5)))
	for seed := range uint64(50) {
		end := lead
		for _, f := range script(seed) {
			assert.GreaterOrEqual(t, f.at, end)
			end = f.at + f.takes
		}
		assert.LessOrEqual(t, end, 20*time.Second-lead)
	}
	assert.Empty(t, schedule(nil, time.Minute, nil))
}
