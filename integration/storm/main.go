// Storm drives one connection through a storm of faults, and checks that every
// message arrives once and in order.
//
//	go run ./storm -messages 1000000 -faults 200 -seed 1
//
// Client and server send numbered messages with checksums to one another at full
// speed, over loopback TCP, through a proxy of its own that breaks what it
// carries: it resets, closes, half-closes, stalls and delays connections, loses,
// truncates, repeats and replaces requests and answers, and at times refuses
// WebSocket, so that polling has to carry on until WebSocket comes back. What
// happens, and when, follows from the seed; how the two sides meet it does not.
//
// It prints what happened, and exits with 1 if a message was lost, doubled, out
// of order or damaged, if the session did not live through it all, or if the
// run stood still.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/integration/internal/stream"
	"github.com/holdfast-ws/holdfast/server"
)

// run is one storm.
type run struct {
	messages uint64
	wanted   int // faults
	seed     uint64
	verbose  bool
	out      io.Writer
	started  time.Time

	random  *rand.Rand // the director's
	proxy   *proxy
	network *roaming
	gate    *stream.Gate
	conn    *holdfast.Conn
	cancel  context.CancelFunc
	up      stream.Stream
	down    stream.Stream

	sessions                           atomic.Int64
	remote                             atomic.Pointer[server.Session]
	over                               atomic.Int32 // a transport
	carried                            [transports]atomic.Uint64
	links, losses, fallbacks, upgrades atomic.Int64

	// The director's.
	refusal  refusal
	released uint64 // messages that may have been sent
	drop     uint64 // messages
	dropped  int    // drops

	mu         sync.Mutex
	faults     map[string]int
	struck     int
	violations []error
}

func main() {
	messages := flag.Uint64("messages", 1_000_000, "`messages` in each direction")
	faults := flag.Int("faults", 200, "how many `faults`, over both transports")
	seed := flag.Uint64("seed", 1, "what the faults are drawn from")
	verbose := flag.Bool("v", false, "print each fault and event")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r := &run{messages: *messages, wanted: *faults, seed: *seed, verbose: *verbose, out: os.Stdout}
	if err := r.storm(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "storm:", err)
		os.Exit(1)
	}
}

// storm runs it all. The error is nil if nothing was violated.
func (r *run) storm(ctx context.Context) error {
	if r.messages < 1 || r.wanted < 0 {
		return errors.New("there is nothing to do")
	}
	ctx, r.cancel = context.WithCancel(ctx)
	defer r.cancel()
	r.random = rand.New(rand.NewPCG(r.seed, 0))
	r.network, r.gate, r.faults = newRoaming(), stream.NewGate(), map[string]int{}
	r.up.Name, r.up.Direction = "client to server", stream.Up
	r.down.Name, r.down.Direction = "server to client", stream.Down
	far, err := listen(r.handle)
	if err != nil {
		return err
	}
	defer far.Close()
	if r.proxy, err = newProxy(far.Addr); err != nil {
		return err
	}
	defer r.proxy.close()
	r.started = time.Now()
	if r.conn, err = r.connect(ctx, r.proxy.listener.Addr().String()); err != nil {
		return err
	}
	defer r.conn.CloseNow()

	var parts sync.WaitGroup
	parts.Go(func() { r.client(ctx) })
	parts.Go(func() { r.report(ctx) })
	if err := r.direct(ctx); err != nil {
		r.violation(err)
	}
	took := time.Since(r.started)
	r.finish()
	r.cancel()
	parts.Wait()
	r.tally(r.out, took)
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.violations...)
}

// finish closes the Conn, and asks it what it counted.
func (r *run) finish() {
	r.mu.Lock()
	failed := len(r.violations) > 0
	r.mu.Unlock()
	if failed {
		return
	}
	s := r.conn.Stats()
	if s.Epoch != 1 || s.Dropped != 0 || s.Unknown != 0 {
		r.violation(fmt.Errorf("the client's epoch is %d, %d messages dropped, %d of unknown fate", s.Epoch, s.Dropped, s.Unknown))
	}
	if err := r.conn.Close(); err != nil {
		r.violation(fmt.Errorf("Close: %w", err))
	}
}

func (r *run) report(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.progress()
		case <-ctx.Done():
			return
		}
	}
}

// violation ends the run.
func (r *run) violation(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.violations) > 0 && errors.Is(err, context.Canceled) {
		return // a consequence
	}
	r.violations = append(r.violations, err)
	r.cancel()
}
