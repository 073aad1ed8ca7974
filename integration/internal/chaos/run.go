package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/integration/internal/loopback"
	"github.com/holdfast-ws/holdfast/integration/internal/stream"
	"github.com/holdfast-ws/holdfast/server"
)

// patience is how long a step of a run may take.
const patience = 45 * time.Second

const drops = 10

// FewestMessages is enough for every harm to have something to harm.
const FewestMessages = 300

// Run sends messages in each direction over a transport: some in peace, some while
// the harm stands, and the rest after it. A part of the result is there also
// when ctx ends.
func Run(ctx context.Context, s Scenario, transport string, messages int, seed uint64) *Result {
	r := &run{
		scenario: s, transport: transport, messages: messages,
		gate: stream.NewGate(), up: newTally(stream.Up, messages), down: newTally(stream.Down, messages),
		changed: make(chan struct{}, 1),
		result:  Result{Scenario: s.Name, Transport: transport, Seed: seed, Reports: map[string]int{}},
	}
	r.random = rand.New(rand.NewPCG(seed, 0))
	began := time.Now()
	if err := r.all(ctx); err != nil {
		r.fail(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up.add(&r.result)
	r.down.add(&r.result)
	r.result.Took = time.Since(began)
	return &r.result
}

// run is one run of a scenario.
type run struct {
	scenario  Scenario
	transport string
	messages  int
	random    *rand.Rand
	gate      *stream.Gate
	up, down  *tally
	far       *loopback.Server
	weather   *weather
	conn      *holdfast.Conn
	changed   chan struct{} // has an element after each message and event

	mu       sync.Mutex
	result   Result
	sessions int
	calm     time.Time // the first message after it is waited for
}

func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.fail(err)
}

func (r *run) all(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o := &server.Options{OpenRate: -1, Keepalive: r.scenario.keepalive()}
	if r.far, err = loopback.Listen("127.0.0.1:0", r.serve, o); err != nil {
		return err
	}
	defer r.far.Close()
	if r.weather, err = newWeather(r.far.Addr); err != nil {
		return err
	}
	defer r.weather.stop()
	if err = r.dial(ctx); err != nil {
		return err
	}
	defer r.conn.CloseNow()
	var ends sync.WaitGroup
	ends.Go(func() { r.sendUp(ctx) })
	ends.Go(func() { r.receiveDown(ctx) })
	err = r.play(ctx)
	if err == nil {
		err = r.finish(ctx)
	}
	cancel()
	ends.Wait()
	return err
}

// play lets the messages pass, and the harm come and go.
func (r *run) play(ctx context.Context) error {
	third := r.messages / 3
	first := third/2 + r.random.IntN(third)
	if err := r.flow(ctx, first); err != nil {
		return err
	}
	r.mu.Lock()
	before, connections := r.result, r.far.Accepted()
	r.mu.Unlock()
	began := time.Now()
	if err := r.weather.set(r.scenario.toxics(vary(r.random))); err != nil {
		return err
	}
	if r.scenario.cut {
		r.far.Cut()
	}
	second := first + third
	if !r.scenario.Lives {
		r.gate.Open(uint64(second))
	}
	err := r.await(ctx, "the harm", func(now *Result) bool {
		return now.Losses-before.Losses >= r.scenario.losses && now.Failures-before.Failures >= r.scenario.failures &&
			r.far.Accepted()-connections >= int64(r.scenario.connections)
	})
	if err == nil && (r.scenario.Lives || r.scenario.through) {
		err = r.trickle(ctx, first, second)
	}
	if err != nil {
		return err
	}
	if r.scenario.Lives {
		err = r.weather.lift(ctx)
	} else {
		err = r.weather.clear()
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.calm = time.Now()
	r.result.Harmed = r.calm.Sub(began)
	r.mu.Unlock()
	return r.flow(ctx, r.messages)
}

// trickle lets messages below limit pass in drops, each when the one before has
// arrived, so that the harm is met more than once.
func (r *run) trickle(ctx context.Context, from, limit int) error {
	for drop := 1; drop <= drops; drop++ {
		if err := r.flow(ctx, from+(limit-from)*drop/drops); err != nil {
			return err
		}
	}
	return nil
}

// flow lets messages below limit pass, and waits until they have arrived.
func (r *run) flow(ctx context.Context, limit int) error {
	r.gate.Open(uint64(limit))
	return r.await(ctx, fmt.Sprintf("message %d", limit), func(*Result) bool {
		return r.up.received() >= limit && r.down.received() >= limit
	})
}

// await waits until a condition holds that changes with messages, events and
// connections.
func (r *run) await(ctx context.Context, what string, cond func(*Result) bool) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		r.mu.Lock()
		met, failed := cond(&r.result), r.result.Err
		r.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case met:
			return nil
		}
		select {
		case <-r.changed:
		case <-r.far.Accepts():
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("%s has not come in %v: %d messages up, %d down; %+v", what, patience, r.up.received(), r.down.received(), r.conn.Stats())
		}
	}
}

// notify says that something has changed.
func (r *run) notify() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// finish asks the Conn what it has counted, and closes it.
func (r *run) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.conn.Flush(ctx); err != nil {
		return fmt.Errorf("Flush: %w", err)
	}
	if s := r.conn.Stats(); s.Epoch != 1 || s.Dropped != 0 || s.Unknown != 0 {
		return fmt.Errorf("epoch %d, %d messages dropped, %d of unknown fate", s.Epoch, s.Dropped, s.Unknown)
	}
	r.mu.Lock()
	r.result.Connections = r.far.Accepted()
	r.mu.Unlock()
	if err := r.conn.Close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	return nil
}

// dial makes the client's end.
func (r *run) dial(ctx context.Context) (err error) {
	o := &holdfast.Options{
		Session:   holdfast.SessionRequire,
		Retry:     holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited, InitialDelay: 50 * time.Millisecond, MaxDelay: 500 * time.Millisecond},
		Keepalive: r.scenario.keepalive(),
		Proxy:     func(*http.Request) (*url.URL, error) { return nil, nil },
		OnEvent:   r.event,
	}
	if !r.scenario.Lives {
		o.HandshakeTimeout, o.WriteTimeout = 3*time.Second, time.Second
	}
	scheme := "ws"
	if r.transport == "longpoll" {
		scheme, o.Fallback = "http", []holdfast.Transport{fallback.LongPoll(nil)}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r.conn, err = holdfast.Dial(ctx, scheme+"://"+r.weather.addr+"/chaos", o)
	return err
}

func (r *run) event(e holdfast.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.note(e)
	r.notify()
}

// took notes a message at its receiver.
func (r *run) took(t *tally, data []byte, epoch uint64) {
	t.take(data, epoch)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.calm.IsZero() && r.result.First == 0 {
		r.result.First = time.Since(r.calm)
	}
	r.notify()
}

// serve is the server's side of the one session that there must be.
func (r *run) serve(ctx context.Context, s *server.Session) error {
	r.mu.Lock()
	r.sessions++
	if r.sessions > 1 {
		r.result.fail(errors.New("the server has begun a second session"))
	}
	r.mu.Unlock()
	var sending sync.WaitGroup
	sending.Go(func() {
		r.send(ctx, "the server", stream.Down, func(data []byte) error { return s.Send(ctx, holdfast.Binary, data) })
	})
	defer sending.Wait()
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			return nil // the client has closed; if it has not, messages are missing
		}
		r.took(r.up, m.Data, m.Epoch)
	}
}

func (r *run) sendUp(ctx context.Context) {
	r.send(ctx, "the client", stream.Up, func(data []byte) error { return r.conn.Send(ctx, holdfast.Binary, data) })
}

func (r *run) receiveDown(ctx context.Context) {
	for {
		m, err := r.conn.Receive(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, holdfast.ErrClosed) {
				r.fail(fmt.Errorf("the client's Receive: %w", err))
				r.notify()
			}
			return
		}
		r.took(r.down, m.Data, m.Epoch)
	}
}

// send sends the messages of a direction, as far as the gate allows.
func (r *run) send(ctx context.Context, who string, direction byte, one func([]byte) error) {
	var buf []byte
	for n := range uint64(r.messages) {
		if _, err := r.gate.Pass(ctx, n); err != nil {
			return
		}
		buf = stream.Message(buf[:0], direction, n)
		if err := one(buf); err != nil {
			if ctx.Err() == nil {
				r.fail(fmt.Errorf("Send of %s: %w", who, err))
				r.notify()
			}
			return
		}
	}
}
