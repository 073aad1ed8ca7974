// Package simulation has clients that lose their server all at once, and come back
// to it, in virtual time: a million of them in seconds.
package simulation

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfast-ws/holdfast/integration/internal/policy"
)

// Config is what is simulated. At time 0 the server goes down.
type Config struct {
	Clients int
	Policy  policy.Policy
	// Outage is how long the server is down. What is tried meanwhile fails at
	// once.
	Outage time.Duration
	// Spread is how long it takes until the last client has noticed: each does at
	// a time drawn between 0 and that.
	Spread time.Duration
	// Rate is how many connections the server can take a second; 0 is any
	// number. Backlog is how many may wait for that, beyond which they are
	// refused at once.
	Rate, Backlog int
	// MaxRetries is how often a client tries again before it gives up for good;
	// negative: always.
	MaxRetries int
	Seed       uint64
}

// Outcome is what came of it. Times are since the server was up again.
type Outcome struct {
	// Attempts there were, of which Refused met a server that was up and full.
	Attempts, Refused, GaveUp int
	// PeakAccepts and PeakAttempts are the most in one second of the clock that
	// starts when the server is up.
	PeakAccepts, PeakAttempts int
	// Back99 is when 99 % were back, BackAll when all were; negative: never.
	Back99, BackAll time.Duration
	// Accepts and Attempted are counts by tenths of a second since time 0.
	Accepts, Attempted []int
}

// Step is the width of what Outcome counts by.
const Step = 100 * time.Millisecond

const (
	tick      = int64(time.Millisecond) // the width of a slot
	perSecond = int(time.Second / Step)
)

// world is a simulation under way. Each client has one thing ahead of it, its next
// attempt, which waits in a ring of slots, one for each millisecond, as a list.
type world struct {
	Config
	random  *rand.Rand
	clients []client
	slots   []int32 // the first client of each; -1: none
	now     []due   // those of the present slot, in order
	clock   int64   // the present slot
	ahead   int     // clients with an attempt ahead

	service  int64 // how long the server is busy with one
	free     int64 // when it is done with those that it has taken
	accepted int
	out      Outcome
}

// client is one, as small as can be: where it lies decides how long a run takes.
type client struct {
	at       int64 // when it tries next, in nanoseconds
	next     int32 // the one behind it in its slot
	failures int32
}

// due is an attempt.
type due struct {
	at     int64
	client int32
}

// Run simulates. The same Config has the same Outcome.
func Run(c Config) *Outcome {
	w := &world{Config: c, random: rand.New(rand.NewPCG(c.Seed, 0)), clients: make([]client, c.Clients)}
	if c.Rate > 0 {
		w.service = int64(time.Second) / int64(c.Rate)
	}
	w.slots = make([]int32, int64(max(c.Spread, 0)+c.Policy.Max)/tick+2)
	for i := range w.slots {
		w.slots[i] = -1
	}
	w.out.Back99, w.out.BackAll = -1, -1
	w.clock = -1
	for i := range int32(c.Clients) {
		noticed := int64(w.random.Float64() * float64(c.Spread))
		w.again(i, noticed, 0)
	}
	for w.clock = 0; w.ahead > 0; w.clock++ {
		w.slot()
	}
	w.finish()
	return &w.out
}

// again lets client i, that has failed at a time, wait for its next attempt. done is
// how many of the present slot have been dealt with.
func (w *world) again(i int32, failed int64, done int) {
	c := &w.clients[i]
	n := int(c.failures)
	c.failures++
	if w.MaxRetries >= 0 && n >= w.MaxRetries {
		w.out.GaveUp++
		return
	}
	c.at = failed + int64(w.Policy.Delay(n, w.random.Float64()))
	w.ahead++
	when := c.at / tick
	if when == w.clock {
		d := due{c.at, i}
		place, _ := slices.BinarySearchFunc(w.now[done:], d, order)
		w.now = slices.Insert(w.now, done+place, d)
		return
	}
	s := &w.slots[when%int64(len(w.slots))]
	c.next, *s = *s, i
}

// order is by time, and then by number.
func order(a, b due) int {
	switch {
	case a.at < b.at:
		return -1
	case a.at > b.at:
		return 1
	default:
		return int(a.client) - int(b.client)
	}
}

// slot lets everything happen that is due in the present one.
func (w *world) slot() {
	s := &w.slots[w.clock%int64(len(w.slots))]
	w.now = w.now[:0]
	for i := *s; i >= 0; i = w.clients[i].next {
		w.now = append(w.now, due{w.clients[i].at, i})
	}
	*s = -1
	slices.SortFunc(w.now, order)
	for i := 0; i < len(w.now); i++ {
		w.ahead--
		if d := w.now[i]; !w.attempt(d.at) {
			w.again(d.client, d.at, i+1)
		}
	}
}

// attempt says whether the server takes a client at a time.
func (w *world) attempt(at int64) bool {
	w.out.Attempts++
	count(&w.out.Attempted, at)
	if at < int64(w.Outage) {
		return false
	}
	done := at
	if w.service > 0 {
		w.free = max(w.free, at)
		if waiting := (w.free - at + w.service - 1) / w.service; waiting > int64(w.Backlog) {
			w.out.Refused++
			return false
		}
		w.free += w.service
		done = w.free
	}
	w.accepted++
	count(&w.out.Accepts, done)
	if w.accepted == int(math.Ceil(0.99*float64(w.Clients))) {
		w.out.Back99 = time.Duration(done) - w.Outage
	}
	if w.accepted == w.Clients {
		w.out.BackAll = time.Duration(done) - w.Outage
	}
	return true
}

func count(steps *[]int, at int64) {
	step := int(at / int64(Step))
	for len(*steps) <= step {
		*steps = append(*steps, 0)
	}
	(*steps)[step]++
}

func (w *world) finish() {
	from := int(w.Outage / Step)
	w.out.PeakAccepts = peak(w.out.Accepts, from)
	w.out.PeakAttempts = peak(w.out.Attempted, from)
}

// peak is the most in one of the seconds that begin with step from.
func peak(steps []int, from int) (most int) {
	for ; from < len(steps); from += perSecond {
		sum := 0
		for _, n := range steps[from:min(from+perSecond, len(steps))] {
			sum += n
		}
		most = max(most, sum)
	}
	return most
}
