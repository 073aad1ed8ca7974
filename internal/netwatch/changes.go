package netwatch

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// tickEvery is the pace of the one timer that runs while there are
	// subscribers; it finds the end of a sleep, within one tick of it.
	tickEvery = time.Second
	// tickLate is how much later than that a tick may come before it is taken
	// for the end of a sleep.
	tickLate = tickEvery / 2
	// pollTicks is how many ticks lie between two looks at the addresses
	// where the system gives no events.
	pollTicks = 5
)

// Changes returns a channel that holds a signal after every change of links,
// addresses and routes, and after the host woke from sleep. Signals that nobody
// has taken yet are one: the channel's capacity is 1. They are given at once and
// unfiltered: one change of the network is often a burst of several signals.
// What happens after Changes has returned is not missed.
//
// When ctx ends, the channel is closed. The system's watcher starts with the
// first subscriber and ends with the last, and the last one's channel is closed
// only when nothing of it is running any more: a caller that has ended ctx and
// then reads until the channel is closed has joined it.
func (w *Watcher) Changes(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	if ctx.Err() != nil {
		close(c)
		return c
	}
	w.mu.Lock()
	if len(w.subs) == 0 {
		w.subs = make(map[chan struct{}]struct{})
		w.stop = w.start()
	}
	w.subs[c] = struct{}{}
	w.mu.Unlock()
	context.AfterFunc(ctx, func() { w.leave(c) })
	return c
}

func (w *Watcher) leave(c chan struct{}) {
	stop := func() {}
	w.mu.Lock()
	delete(w.subs, c)
	if len(w.subs) == 0 {
		stop, w.stop = w.stop, nil
	}
	w.mu.Unlock()
	stop() // not under the lock: it waits for calls of signal
	close(c)
}

func (w *Watcher) signal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.subs {
		select {
		case c <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// start begins to watch. The function that it returns ends and joins it.
func (w *Watcher) start() (stop func()) {
	var (
		wg      sync.WaitGroup
		polling atomic.Bool
		known   []netip.Addr
	)
	stopWatch, err := w.sys.watch(w.signal, func() {
		polling.Store(true)
		w.signal() // what was missed while it broke
	})
	if err != nil {
		polling.Store(true)
		known, _ = w.sys.addrs()
		stopWatch = func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	last := w.clock()
	wg.Go(func() { w.tick(ctx, last, &polling, known) })
	return func() {
		cancel()
		stopWatch()
		wg.Wait()
	}
}

// tick finds the ends of sleeps and, while polling is set, changes of the addresses.
func (w *Watcher) tick(ctx context.Context, last time.Duration, polling *atomic.Bool, known []netip.Addr) {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := w.clock()
		if now-last > tickEvery+tickLate {
			w.signal()
		}
		last = now
		if n%pollTicks != 0 || !polling.Load() {
			continue
		}
		if list, ok := w.sys.addrs(); ok && !slices.Equal(list, known) {
			known = list
			w.signal()
		}
	}
}
