package simulation

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/integration/internal/policy"
)

const second = time.Second

// model is the same in the plainest way: a list that is searched for the next
// attempt, and every connection that the server is busy with, one by one.
func model(c Config) *Outcome {
	type ahead struct {
		at     int64
		client int
	}
	random := rand.New(rand.NewPCG(c.Seed, 0))
	out := &Outcome{Back99: -1, BackAll: -1}
	failures := make([]int, c.Clients)
	var list []ahead
	fail := func(client int, at int64) {
		failures[client]++
		if c.MaxRetries >= 0 && failures[client] > c.MaxRetries {
			out.GaveUp++
			return
		}
		bound := c.Policy.Initial
		for range failures[client] - 1 {
			bound = min(2*bound, c.Policy.Max)
		}
		delay := bound
		if u := random.Float64(); c.Policy.Jitter {
			delay = time.Duration(u * float64(bound))
		}
		list = append(list, ahead{at + int64(delay), client})
	}
	for client := range c.Clients {
		fail(client, int64(random.Float64()*float64(c.Spread)))
	}
	var busy, back, attempts []int64 // times
	for len(list) > 0 {
		first := 0
		for i, a := range list {
			if a.at < list[first].at || a.at == list[first].at && a.client < list[first].client {
				first = i
			}
		}
		a := list[first]
		list = slices.Delete(list, first, first+1)
		attempts = append(attempts, a.at)
		if a.at < int64(c.Outage) {
			fail(a.client, a.at)
			continue
		}
		if c.Rate == 0 {
			back = append(back, a.at)
			continue
		}
		for len(busy) > 0 && busy[0] <= a.at {
			busy = busy[1:]
		}
		if len(busy) > c.Backlog {
			out.Refused++
			fail(a.client, a.at)
			continue
		}
		begin := a.at
		if len(busy) > 0 {
			begin = busy[len(busy)-1]
		}
		busy = append(busy, begin+int64(second)/int64(c.Rate))
		back = append(back, busy[len(busy)-1])
	}
	out.Attempts = len(attempts)
	out.PeakAccepts, out.PeakAttempts = busiest(back, c.Outage), busiest(attempts, c.Outage)
	out.Accepts, out.Attempted = histogram(back), histogram(attempts)
	if n := (99*c.Clients + 99) / 100; len(back) >= n {
		out.Back99 = time.Duration(back[n-1]) - c.Outage
	}
	if len(back) == c.Clients {
		out.BackAll = time.Duration(back[len(back)-1]) - c.Outage
	}
	return out
}

func busiest(times []int64, from time.Duration) (most int) {
	seconds := map[int64]int{}
	for _, at := range times {
		if at >= int64(from) {
			n := (at - int64(from)) / int64(second)
			seconds[n]++
			most = max(most, seconds[n])
		}
	}
	return most
}

func histogram(times []int64) (steps []int) {
	for _, at := range times {
		for int64(len(steps)) <= at/int64(Step) {
			steps = append(steps, 0)
		}
		steps[at/int64(Step)]++
	}
	return steps
}

func TestLikeTheModel(t *testing.T) {
	policies := append([]policy.Policy{
		{Name: "short", Initial: 700 * time.Microsecond, Max: 9 * time.Millisecond, Jitter: true}, // within one slot
	}, policy.All...)
	for _, p := range policies {
		for _, limits := range [][2]int{{0, 0}, {30, 0}, {30, 5}, {1000, 3}} {
			for _, spread := range []time.Duration{0, 80 * time.Millisecond, 3 * second} {
				for _, retries := range []int{-1, 0, 5} {
					c := Config{Clients: 120, Policy: p, Outage: 5 * second, Spread: spread, Rate: limits[0], Backlog: limits[1], MaxRetries: retries, Seed: 7}
					if p.Name == "short" {
						c.Outage = 50 * time.Millisecond
					}
					c.Outage -= c.Outage % Step // the seconds of the peak are made of steps
					require.Equal(t, model(c), Run(c), "%+v", c)
				}
			}
		}
	}
}

// Cases that can be worked out by hand.
func TestLockstep(t *testing.T) {
	fixed := policy.Policy{Name: "fixed", Initial: second, Max: second}
	c := Config{Clients: 1000, Policy: fixed, Outage: 2500 * time.Millisecond, MaxRetries: -1, Seed: 1}
	o := Run(c)
	assert.Equal(t, 3000, o.Attempts, "at 1 s, 2 s and 3 s")
	assert.Equal(t, 1000, o.PeakAccepts)
	assert.Equal(t, 500*time.Millisecond, o.Back99)
	assert.Equal(t, 500*time.Millisecond, o.BackAll)

	c.Rate, c.Backlog = 100, 49 // one in service and 49 that wait, each second
	o = Run(c)
	assert.Equal(t, 50, o.PeakAccepts, "half of what the server could")
	assert.Equal(t, 1000, o.PeakAttempts)
	assert.Equal(t, 2000+20*1000-50*(19*20/2), o.Attempts)
	assert.Equal(t, 19*second+500*time.Millisecond+500*time.Millisecond, o.BackAll, "20 rounds")

	c.Policy, c.Rate, c.MaxRetries = policy.All[1], 0, -1
	o = Run(c)
	assert.Equal(t, 2*1000, o.Attempts, "at 1 s and 3 s")

	c.Policy, c.MaxRetries = fixed, 2
	o = Run(c)
	assert.Equal(t, 1000, o.GaveUp, "after 1 s and 2 s")
	assert.Equal(t, -time.Nanosecond, o.BackAll)
	assert.Zero(t, o.PeakAccepts)
}

func TestSeedDecides(t *testing.T) {
	c := Config{Clients: 20000, Policy: policy.Default, Outage: 10 * second, Spread: 100 * time.Millisecond, Rate: 2000, Backlog: 100, MaxRetries: 10, Seed: 1}
	first := Run(c)
	assert.Equal(t, first, Run(c))
	c.Seed = 2
	assert.NotEqual(t, first, Run(c))
}

func TestEveryoneIsAccountedFor(t *testing.T) {
	for _, p := range policy.All {
		for _, retries := range []int{-1, 3, 10} {
			c := Config{Clients: 3000, Policy: p, Outage: 20 * second, Spread: 100 * time.Millisecond, Rate: 500, Backlog: 50, MaxRetries: retries, Seed: 3}
			o := Run(c)
			sum := func(steps []int) (n int) {
				for _, s := range steps {
					n += s
				}
				return n
			}
			assert.Equal(t, o.Attempts, sum(o.Attempted))
			assert.Equal(t, c.Clients, sum(o.Accepts)+o.GaveUp, "%s, %d retries", p.Name, retries)
			assert.LessOrEqual(t, o.PeakAccepts, c.Rate+1)
			assert.Equal(t, o.GaveUp == 0, o.BackAll >= 0)
		}
	}
}

// What the defaults are for: another policy is another storm.
func TestPoliciesDiffer(t *testing.T) {
	run := func(p policy.Policy) *Outcome {
		return Run(Config{Clients: 20000, Policy: p, Outage: 10 * second, Spread: 100 * time.Millisecond, MaxRetries: -1, Seed: 1})
	}
	fixed, exponential, jittered := run(policy.All[0]), run(policy.All[1]), run(policy.Default)
	assert.Equal(t, 20000, fixed.PeakAccepts)
	assert.Equal(t, 20000, exponential.PeakAccepts, "without jitter all come at once still")
	assert.Less(t, jittered.PeakAccepts, 20000/5)
	assert.Less(t, jittered.Attempts, fixed.Attempts)
	assert.Less(t, jittered.Back99, 30*second, "no later than MaxDelay")
	longer := policy.Default
	longer.Max *= 4
	calm := Run(Config{Clients: 20000, Policy: longer, Outage: 120 * second, Spread: 100 * time.Millisecond, MaxRetries: -1, Seed: 1})
	busy := Run(Config{Clients: 20000, Policy: policy.Default, Outage: 120 * second, Spread: 100 * time.Millisecond, MaxRetries: -1, Seed: 1})
	assert.Less(t, calm.PeakAccepts, busy.PeakAccepts)
	assert.Greater(t, calm.Back99, busy.Back99)
}

// BenchmarkMillion is one storm of a million clients.
func BenchmarkMillion(b *testing.B) {
	for _, p := range policy.All {
		b.Run(p.Name, func(b *testing.B) {
			for b.Loop() {
				o := Run(Config{Clients: 1_000_000, Policy: p, Outage: 60 * second, Spread: 100 * time.Millisecond, Rate: 20000, Backlog: 4096, MaxRetries: -1, Seed: 1})
				b.ReportMetric(float64(o.Attempts), "attempts")
				b.ReportMetric(o.Back99.Seconds(), "s-to-99%")
				b.ReportMetric(float64(o.PeakAccepts), "accepts/s")
				b.ReportMetric(float64(o.PeakAttempts), "peak-attempts/s")
			}
		})
	}
}
