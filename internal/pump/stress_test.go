package pump

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/outbox"
)

// TestStress has real goroutines send, wait, withdraw and receive both ways while
// links come, are replaced and are cut.
func TestStress(t *testing.T) {
	for seed := range uint64(3) {
		for _, full := range []outbox.WhenFull{outbox.Block, outbox.DropOldest} {
			stress(t, seed, full)
		}
	}
}

func stress(t *testing.T, seed uint64, full outbox.WhenFull) {
	const messages = 1000
	r := rand.New(rand.NewPCG(seed, uint64(full)))
	limits := outbox.Limits{MaxMessages: 1 << r.IntN(10), WhenFull: full, Keep: seed%2 == 0}
	w := newWorld(t, setup{limits: limits, window: 2000 << r.IntN(8), maxMessage: 2000},
		setup{limits: limits, window: 2000 << r.IntN(8), maxMessage: 2000})
	defer w.end()
	w.client.Flow()
	w.server.Flow()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	var users sync.WaitGroup
	for i, pair := range [][2]*side{{w.client, w.server}, {w.server, w.client}} {
		f := &stressFlow{t: t, from: pair[0], to: pair[1], last: messages, withdrawn: map[uint64]bool{}}
		users.Go(func() { f.send(ctx, rand.New(rand.NewPCG(seed, uint64(2+i)))) })
		users.Go(func() { f.receive(ctx, rand.New(rand.NewPCG(seed, uint64(4+i)))) })
	}
	done := make(chan struct{})
	go func() {
		users.Wait()
		close(done)
	}()

	var last interface{ cut() }
	for n := 0; ; n++ {
		var c interface{ cut() }
		if r.IntN(2) == 0 {
			c = w.connect(0)
		} else {
			c = w.poll(time.Duration(r.IntN(300))*time.Microsecond, troubled(r.Uint64()))
		}
		if last != nil { // make before break
			if r.IntN(2) == 0 {
				pause(done, r)
			}
			last.cut()
		}
		last = c
		w.links = w.links[len(w.links)-1:]
		pause(done, r)
		if r.IntN(3) == 0 {
			last.cut()
		}
		if closed(done) {
			break
		}
	}
	last.cut()
	w.connect(0)
	for _, d := range []*side{w.client, w.server} {
		d.out.BeginClose(errEnd)
		d.Close(1000, "")
	}
	for _, d := range []*side{w.client, w.server} {
		select {
		case <-d.Done():
		case <-ctx.Done():
			require.Fail(t, "not done")
		}
		s := d.out.Stats()
		require.Zero(t, s.Queued+s.Unacknowledged)
	}
}

// pause lets a link live for a while.
func pause(done <-chan struct{}, r *rand.Rand) {
	select {
	case <-time.After(time.Duration(r.IntN(4000)) * time.Microsecond):
	case <-done:
	}
}

// stressFlow is one direction.
type stressFlow struct {
	t        *testing.T
	from, to *side
	last     uint64

	mu        sync.Mutex
	withdrawn map[uint64]bool
}

func (f *stressFlow) send(ctx context.Context, r *rand.Rand) {
	for n := uint64(1); n <= f.last; n++ {
		m := number(n, r.IntN(2000))
		if r.IntN(50) > 0 || n == f.last {
			if !assert.NoError(f.t, f.from.out.Push(ctx, m.Type, m.Data, nil)) {
				return
			}
			continue
		}
		short, cancel := context.WithTimeout(ctx, time.Duration(r.IntN(3000))*time.Microsecond)
		waiter := outbox.NewWaiter()
		err := f.from.out.Push(short, m.Type, m.Data, waiter)
		notSent := err != nil
		if err == nil {
			var loss *outbox.Loss
			if err = f.from.out.Wait(short, waiter, time.Second, errEnd); err != nil && assert.ErrorAs(f.t, err, &loss) {
				notSent = !loss.Maybe && loss.Err == short.Err()
			}
		}
		cancel()
		if notSent {
			f.mu.Lock()
			f.withdrawn[n] = true
			f.mu.Unlock()
		}
	}
	_ = f.from.out.Wait(ctx, f.from.out.Flush(), time.Second, errEnd)
}

// receive takes everything up to the last message, which nothing drops: nothing is
// accepted after it.
func (f *stressFlow) receive(ctx context.Context, r *rand.Rand) {
	at, epoch := uint64(0), uint64(1)
	for at < f.last {
		m, err := f.to.in.Receive(ctx)
		if !assert.NoError(f.t, err, "after %d", at) {
			return
		}
		n := numberOf(f.t, m)
		missing := false
		f.mu.Lock()
		for k := at + 1; k < n; k++ {
			missing = missing || !f.withdrawn[k]
		}
		f.mu.Unlock()
		if !assert.Greater(f.t, n, at) || !assert.Equal(f.t, missing, m.Epoch > epoch, "%d after %d", n, at) {
			return
		}
		at, epoch = n, m.Epoch
		if r.IntN(100) == 0 {
			time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
		}
	}
}
