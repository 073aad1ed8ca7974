package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// patience is how long nothing may move.
	patience = 45 * time.Second
	// settle is how long a change of the transport may take.
	settle = 15 * time.Second
	// cut is how long no connection can be made where the link is to be lost: one
	// that polls asks again at once.
	cut = 20 * time.Millisecond
	// look is how often the transport is looked at while it changes.
	look = 2 * time.Millisecond
	// trickle is how often messages are let through while the transport changes.
	trickle = 20 * time.Millisecond
	// reservePercent of the messages are for that, in so many drops.
	reservePercent = 30
	drops          = 2500
)

// direct plays the script. A fault falls while its share of the messages is on
// its way, and the next step begins when all of them have arrived at both ends.
func (r *run) direct(ctx context.Context) error {
	reserve := r.messages * reservePercent / 100
	r.drop = max(1, reserve/drops)
	share := (r.messages - reserve) / uint64(r.wanted+1)
	for {
		for _, s := range script(r.random, r.wanted-r.happened()) {
			if err := r.play(ctx, s, share); err != nil {
				return err
			}
		}
		if r.happened() >= r.wanted {
			break
		}
		// Some found nothing to break; their messages are gone.
		share = (r.messages - r.released) / uint64(r.wanted-r.happened()+1)
	}
	r.proxy.treat(welcome)
	return r.flow(ctx, r.messages)
}

// flow lets messages up to limit pass, and waits until they have arrived.
func (r *run) flow(ctx context.Context, limit uint64) error {
	limit = min(limit, r.messages)
	r.released = max(r.released, limit)
	upDone, downDone := r.up.When(r.released), r.down.When(r.released)
	r.gate.Open(r.released)
	if err := r.wait(ctx, upDone); err != nil {
		return err
	}
	return r.wait(ctx, downDone)
}

// wait fails when nothing has moved for too long.
func (r *run) wait(ctx context.Context, done <-chan struct{}) error {
	seen := r.up.Received.Load() + r.down.Received.Load()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			now := r.up.Received.Load() + r.down.Received.Load()
			if now == seen {
				return fmt.Errorf("nothing has arrived for %v: %s", patience, r.standing())
			}
			seen = now
			timer.Reset(patience)
		}
	}
}

func (r *run) play(ctx context.Context, s step, share uint64) error {
	switch s.act {
	case faultSocket:
		if err := r.need(ctx, "websocket"); err != nil {
			return err
		}
		return r.strike(ctx, s, share, r.faultSocket)
	case faultPolls:
		if err := r.need(ctx, "longpoll"); err != nil {
			return err
		}
		return r.strike(ctx, s, share, r.faultPolls)
	case block:
		r.refusal = s.how
		return r.need(ctx, "longpoll")
	case reconnect:
		return r.need(ctx, "websocket")
	case climbLate:
		return r.climbLate(ctx)
	case climb:
		r.proxy.treat(welcome)
		r.network.move() // probes start over
		return r.until(ctx, "websocket", settle)
	}
	return nil
}

// strike lets a share of the messages pass, and the fault happen meanwhile.
func (r *run) strike(ctx context.Context, s step, share uint64, fault func(context.Context, step)) error {
	from := r.released
	begun := r.down.When(min(from+uint64(float64(share)*s.after), r.messages))
	r.gate.Open(min(from+share, r.messages))
	if err := r.wait(ctx, begun); err != nil {
		return err
	}
	struck := make(chan struct{})
	go func() {
		defer close(struck)
		fault(ctx, s)
	}()
	err := r.flow(ctx, from+share)
	<-struck
	return err
}

// faultSocket breaks the WebSocket connection.
func (r *run) faultSocket(ctx context.Context, s step) {
	happened := true
	switch s.socket {
	case cutNow:
		happened = r.proxy.each((*relay).cut)
	case cutInFrame:
		happened = r.proxy.each(func(l *relay) { l.cutWithin(s.bytes) })
	case finished:
		happened = r.proxy.each((*relay).finish)
	case halfToClient, halfToServer:
		happened = r.proxy.each(func(l *relay) { l.halfClose(s.socket == halfToClient) })
	case stalledFor: // until somebody gives it up
		happened = r.proxy.each(func(l *relay) { l.freeze(true) })
	case paused:
		happened = r.proxy.each(func(l *relay) { l.freeze(true) })
		sleep(ctx, s.lasts)
		r.proxy.each(func(l *relay) { l.freeze(false) })
	case delayed:
		happened = r.proxy.each(func(l *relay) { l.slow(s.lasts / 10) })
		sleep(ctx, 2*s.lasts)
		r.proxy.each(func(l *relay) { l.slow(0) })
	case outage:
		r.proxy.outage(s.lasts)
	}
	r.count("websocket: "+socketFaultNames[s.socket], happened)
}

// faultPolls breaks what the requests need.
func (r *run) faultPolls(ctx context.Context, s step) {
	switch {
	case s.polls != fair:
		hit := r.proxy.arm(s.polls)
		timer := time.NewTimer(2 * time.Second)
		defer timer.Stop()
		select {
		case <-hit:
		case <-timer.C:
		case <-ctx.Done():
		}
		r.count("longpoll: "+pollFaultNames[s.polls], !r.proxy.disarm())
		return
	case s.whole == stalledFor: // until the client gives it up
		before := r.losses.Load()
		r.proxy.stall()
		r.look(ctx, 3*time.Second, func() bool { return r.losses.Load() > before })
		r.proxy.release()
	case s.whole == paused:
		r.proxy.stall()
		sleep(ctx, s.lasts)
		r.proxy.release()
	case s.whole == delayed:
		r.proxy.drag(s.lasts / 10)
		sleep(ctx, 2*s.lasts)
		r.proxy.drag(0)
	case s.whole == outage:
		r.proxy.outage(s.lasts)
	}
	r.count("longpoll: "+socketFaultNames[s.whole], true)
}

// need brings the Conn onto a transport, by force: a cut, and another network.
func (r *run) need(ctx context.Context, transport string) error {
	for range 5 {
		if r.conn.Stats().Transport == transport {
			return nil
		}
		if transport == "websocket" {
			r.proxy.treat(welcome)
		} else {
			r.proxy.treat(r.refusal)
		}
		r.network.move()
		r.proxy.outage(cut)
		if r.until(ctx, transport, settle/5) == nil {
			return nil
		}
	}
	return fmt.Errorf("the Conn does not come to %s: %s", transport, r.standing())
}

// climbLate reconnects while WebSocket is late, so that polling wins at first,
// and the WebSocket that comes takes over.
func (r *run) climbLate(ctx context.Context) error {
	upgrades := r.upgrades.Load()
	r.proxy.treat(slow)
	r.network.move()
	r.proxy.outage(cut)
	r.trickleUntil(ctx, settle, func() bool { return r.upgrades.Load() > upgrades })
	if r.upgrades.Load() == upgrades {
		return fmt.Errorf("a WebSocket that was welcomed late has not taken over: %s", r.standing())
	}
	r.proxy.treat(welcome)
	return nil
}

// until waits until a transport carries the Conn, while messages flow.
func (r *run) until(ctx context.Context, transport string, limit time.Duration) error {
	on := func() bool { return r.conn.Stats().Transport == transport }
	if !r.trickleUntil(ctx, limit, on) {
		return fmt.Errorf("%s does not carry the Conn after %v: %s", transport, limit, r.standing())
	}
	return nil
}

// trickleUntil lets some messages pass all the time until cond holds.
func (r *run) trickleUntil(ctx context.Context, limit time.Duration, cond func() bool) bool {
	last := time.Now()
	return r.look(ctx, limit, func() bool {
		if time.Since(last) > trickle && r.dropped < drops {
			last = time.Now()
			r.dropped++
			r.released = min(r.released+r.drop, r.messages)
			r.gate.Open(r.released)
		}
		return cond()
	})
}

// look waits until cond holds; false means that it does not within limit.
func (r *run) look(ctx context.Context, limit time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(limit)
	for !cond() {
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
		time.Sleep(look)
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
