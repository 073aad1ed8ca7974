package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/integration/internal/loopback"
	"github.com/holdfast-ws/holdfast/integration/internal/stream"
	"github.com/holdfast-ws/holdfast/server"
)

// sendBuffer is large enough to keep both ends busy.
var sendBuffer = holdfast.SendBuffer{MaxBytes: 8 << 20, MaxMessages: 32768}

// keepalive finds a stalled connection soon.
var keepalive = holdfast.Keepalive{Interval: 500 * time.Millisecond, Timeout: 500 * time.Millisecond}

// listen starts a server whose sessions are handled by handle.
func listen(handle func(context.Context, *server.Session) error) (*loopback.Server, error) {
	return loopback.Listen("127.0.0.1:0", handle, &server.Options{OpenRate: -1, Keepalive: keepalive, SendBuffer: sendBuffer})
}

// handle is the server's side of the one session that there must be.
func (r *run) handle(ctx context.Context, s *server.Session) error {
	if r.sessions.Add(1) > 1 {
		r.violation(errors.New("the server has begun a second session"))
		return nil
	}
	r.remote.Store(s)
	var sending sync.WaitGroup
	sending.Go(func() {
		var buf []byte
		err := r.send(ctx, func(n uint64) error {
			buf = stream.Message(buf[:0], stream.Down, n)
			return s.Send(ctx, holdfast.Binary, buf)
		})
		if err != nil && ctx.Err() == nil {
			r.violation(fmt.Errorf("the server's Send: %w", err))
		}
	})
	defer sending.Wait()
	for r.up.Received.Load() < r.messages {
		m, err := s.Receive(ctx)
		if err != nil {
			r.violation(fmt.Errorf("the server's Receive, after %d messages: %w", r.up.Received.Load(), err))
			return nil
		}
		if err := r.up.Take(m.Data, m.Epoch); err != nil {
			r.violation(err)
			return nil
		}
	}
	sending.Wait()
	<-ctx.Done() // the client closes
	return nil
}

// send sends the numbers from 0 on, as far as the gate allows.
func (r *run) send(ctx context.Context, one func(n uint64) error) error {
	limit := uint64(0)
	for n := uint64(0); n < r.messages; n++ {
		if n >= limit {
			var err error
			if limit, err = r.gate.Pass(ctx, n); err != nil {
				return err
			}
		}
		if err := one(n); err != nil {
			return err
		}
	}
	return nil
}

// connect makes the client's end.
func (r *run) connect(ctx context.Context, addr string) (*holdfast.Conn, error) {
	return holdfast.Dial(ctx, "ws://"+addr+"/storm", &holdfast.Options{
		Session:          holdfast.SessionRequire,
		Fallback:         []holdfast.Transport{fallback.LongPoll(nil)},
		Retry:            holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited, InitialDelay: 10 * time.Millisecond, MaxDelay: 100 * time.Millisecond},
		Keepalive:        keepalive,
		HandshakeTimeout: 3 * time.Second,
		WriteTimeout:     time.Second,
		SendBuffer:       sendBuffer,
		Network:          r.network,
		OnEvent:          r.event,
	})
}

// client runs the client's side until all has been received, or ctx ends.
func (r *run) client(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() {
		var buf []byte
		err := r.send(ctx, func(n uint64) error {
			buf = stream.Message(buf[:0], stream.Up, n)
			return r.conn.Send(ctx, holdfast.Binary, buf)
		})
		if err != nil && ctx.Err() == nil {
			r.violation(fmt.Errorf("the client's Send: %w", err))
		}
	})
	both.Go(func() {
		var buf []byte
		for r.down.Received.Load() < r.messages {
			m, err := r.conn.ReceiveAppend(ctx, buf[:0])
			if err == nil {
				err = r.down.Take(m.Data, m.Epoch)
			}
			if err != nil {
				if ctx.Err() == nil {
					r.violation(fmt.Errorf("the client: %w", err))
				}
				return
			}
			buf = m.Data
			r.carried[r.over.Load()].Add(1)
		}
	})
	both.Wait()
}

// roaming is a host that moves from one network to another, so that nothing that
// was learnt of the last one holds on the next.
type roaming struct {
	at      atomic.Int64
	changes chan struct{}
}

func newRoaming() *roaming { return &roaming{changes: make(chan struct{}, 1)} }

// move changes the network.
func (n *roaming) move() {
	n.at.Add(1)
	select {
	case n.changes <- struct{}{}:
	default:
	}
}

// Check implements holdfast.Network: the host is never offline.
func (n *roaming) Check(context.Context, string) holdfast.Reachability { return holdfast.Reachable }

// Changes implements holdfast.Network.
func (n *roaming) Changes(context.Context) <-chan struct{} { return n.changes }

// Egress tells the networks apart.
func (n *roaming) Egress(string) (egress, prefix string) {
	return fmt.Sprintf("network%d", n.at.Load()), ""
}
