package holdfast_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

type rec struct {
	got map[string]int
	per [][]string
}

// Under random faults, everything that was accepted is accounted for: what came,
// what is unknown, dropped or left, what each call said, and what events and Stats say.
func TestStressAccounting(t *testing.T) {
	for seed := range 40 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { stress(t, uint64(seed)) })
	}
}

func stress(t *testing.T, seed uint64) {
	bubble(t, func(w *world) {
		rng := rand.New(rand.NewPCG(seed, 7))
		alo := seed%2 == 1
		onconnect := rng.IntN(2) == 0
		slowRecv := rng.IntN(4) == 0
		var mu sync.Mutex
		r := rec{got: map[string]int{}}
		linkOf := map[int]int{}
		script := func(p *holdfasttest.Peer) {
			mu.Lock()
			i := len(r.per)
			r.per = append(r.per, nil)
			linkOf[i] = p.N()
			mu.Unlock()
			go func() {
				for k := 0; ; k++ {
					if p.Send(holdfast.Text, []byte(fmt.Sprintf("%d:%d", i, k))) != nil {
						return
					}
					time.Sleep(time.Duration(1+k%7) * 20 * time.Millisecond)
					select {
					case <-p.Done():
						return
					default:
					}
				}
			}()
			for {
				_, d, err := p.Receive()
				if err != nil {
					return
				}
				s := string(d[:min(len(d), 12)])
				s = strings.TrimRight(s, ".")
				mu.Lock()
				r.got[s]++
				r.per[i] = append(r.per[i], s)
				mu.Unlock()
			}
		}
		w.server.OnConnect(script)
		if rng.IntN(2) == 0 {
			w.net.SetLatency(time.Duration(rng.IntN(60)) * time.Millisecond)
		}
		o := w.options()
		o.Retry.MaxRetries = holdfast.Unlimited
		o.Retry.New = func() holdfast.BackOff { return constant(200 * time.Millisecond) }
		o.Retry.Decide = func(error, holdfast.Decision) holdfast.Decision { return holdfast.DecisionRetry }
		o.Keepalive = holdfast.Keepalive{Interval: 2 * time.Second, Timeout: 2 * time.Second}
		o.WriteTimeout = 2 * time.Second
		o.HandshakeTimeout = 2 * time.Second
		o.SendBuffer = holdfast.SendBuffer{MaxMessages: 5 + rng.IntN(100), MaxBytes: 200000, WhenFull: holdfast.WhenFull(rng.IntN(3))}
		if rng.IntN(3) == 0 {
			o.SendBuffer.MaxAge = time.Duration(1+rng.IntN(5)) * time.Second
		}
		o.ReceiveBuffer = 500 + rng.IntN(5000)
		if alo {
			o.Delivery = holdfast.AtLeastOnce
		}
		if onconnect {
			o.OnConnect = func(ctx context.Context, h *holdfast.Handshake) error {
				if _, err := h.Receive(ctx); err != nil {
					return err
				}
				return nil
			}
		}
		c, err := holdfast.Dial(w.Context(), worldURL, o)
		if err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var st sync.Mutex
		accepted := map[string]bool{} // Send nil
		var acceptedOrder []string
		synced := map[string]error{}
		notsent := map[string]bool{}
		reported := 0
		sleep := func(g *rand.Rand, ms int) bool {
			select {
			case <-stop:
				return false
			case <-time.After(time.Duration(1+g.IntN(ms)) * time.Millisecond):
				return true
			}
		}
		for s := range 3 {
			g := rand.New(rand.NewPCG(seed, uint64(100+s)))
			wg.Go(func() {
				for k := 0; sleep(g, 60); k++ {
					id := fmt.Sprintf("%d/%d", s, k)
					data := id
					if g.IntN(10) == 0 {
						data += strings.Repeat(".", g.IntN(100000))
					}
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+g.IntN(3000))*time.Millisecond)
					var err error
					sync := g.IntN(4) == 0
					if sync {
						err = c.SendSync(ctx, holdfast.Text, []byte(data))
					} else {
						err = c.Send(ctx, holdfast.Text, []byte(data))
					}
					cancel()
					st.Lock()
					var se *holdfast.SendError
					switch {
					case err == nil && !sync:
						accepted[id] = true
						acceptedOrder = append(acceptedOrder, id)
					case err == nil:
						synced[id] = nil
						mu.Lock()
						if r.got[id] == 0 {
							t.Errorf("SendSync nil but %s not at the server", id)
						}
						mu.Unlock()
					case !errors.As(err, &se):
						t.Errorf("not a SendError: %v", err)
					case se.Outcome == holdfast.NotSent:
						notsent[id] = true
					case !sync:
						t.Errorf("Send said MaybeSent")
					default:
						synced[id] = err
					}
					st.Unlock()
				}
			})
		}
		wg.Go(func() { // flusher
			g := rand.New(rand.NewPCG(seed, 200))
			for sleep(g, 1500) {
				st.Lock()
				before := append([]string(nil), acceptedOrder...)
				st.Unlock()
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+g.IntN(6000))*time.Millisecond)
				err := c.Flush(ctx)
				cancel()
				var se *holdfast.SendError
				missing := 0
				mu.Lock()
				for _, id := range before {
					if r.got[id] == 0 {
						missing++
					}
				}
				mu.Unlock()
				if err == nil {
					if missing > reported {
						t.Errorf("Flush nil, %d missing, %d reported", missing, reported)
					}
				} else if errors.As(err, &se) {
					if se.Err != context.DeadlineExceeded && se.Err != holdfast.ErrNoPong && se.Err != holdfast.ErrReceiveBufferFull {
						reported += se.Count
						if missing > reported && !errors.Is(err, holdfast.ErrClosed) {
							t.Errorf("Flush said %d (%v), %d missing, %d reported", se.Count, err, missing, reported)
						}
					}
				} else {
					t.Errorf("flush: %v", err)
				}
			}
		})
		recvDone := make(chan struct{})
		go func() { // receiver
			defer close(recvDone)
			g := rand.New(rand.NewPCG(seed, 300))
			var epoch uint64
			link, next := -1, 0
			epochLink := map[uint64]int{}
			for m, err := range c.Messages(context.Background()) {
				if err != nil {
					t.Errorf("receive: %v", err)
					return
				}
				var l, k int
				fmt.Sscanf(string(m.Data), "%d:%d", &l, &k)
				if was, ok := epochLink[m.Epoch]; ok && was != l {
					t.Errorf("epoch %d for links %d and %d", m.Epoch, was, l)
				}
				epochLink[m.Epoch] = l
				if m.Epoch < epoch {
					t.Errorf("epoch went back")
				}
				epoch = m.Epoch
				if l != link {
					link, next = l, 0
					if onconnect {
						next = 1
					}
				}
				if k != next {
					t.Errorf("link %d: got %d, want %d (state %v)", l, k, next, c.State())
				}
				next = k + 1
				if slowRecv {
					time.Sleep(time.Duration(g.IntN(300)) * time.Millisecond)
				}
			}
		}()
		wg.Go(func() { // faults
			g := rand.New(rand.NewPCG(seed, 400))
			for sleep(g, 1500) {
				f := g.IntN(12)
				switch f {
				case 0:
					w.server.DropAll()
				case 1:
					w.server.ResetAll()
				case 2:
					for _, p := range w.server.Peers() {
						_ = p.SendClose(1012, "")
					}
				case 3:
					for _, p := range w.server.Peers() {
						_ = p.SendClose(1001, "")
					}
				case 4:
					w.net.Freeze(true)
					sleep(g, 6000)
					w.net.Freeze(false)
				case 5:
					w.network.SetOnline(false)
					sleep(g, 2000)
					w.network.SetOnline(true)
				case 6:
					w.network.Signal()
				case 7:
					c.Reconnect()
				case 8:
					for range 5 {
						c.Reconnect()
						w.network.Signal()
					}
				case 9:
					w.server.FreezeAll(true)
					sleep(g, 3000)
					w.server.FreezeAll(false)
				case 10:
					w.server.Close()
					sleep(g, 500)
					w.serve()
					w.server.OnConnect(script)
				case 11:
					w.net.Reset()
				}
			}
			w.net.Freeze(false)
			w.network.SetOnline(true)
		})
		time.Sleep(time.Duration(5+rng.IntN(40)) * time.Second)
		final := rng.IntN(3)
		if final == 2 { // settle, then all must be there
			close(stop)
			wg.Wait()
			_ = c.WaitConnected(context.Background())
		}
		var cerr error
		switch final {
		case 0:
			cerr = c.CloseNow()
		default:
			cerr = c.Close()
		}
		if final != 2 {
			close(stop)
			wg.Wait()
		}
		<-c.Done()
		<-recvDone
		if !errors.Is(c.Err(), holdfast.ErrClosed) {
			t.Errorf("Err: %v", c.Err())
		}
		synctest.Wait()
		time.Sleep(10 * time.Second)
		var left holdfast.UnsentError
		var ue *holdfast.UnsentError
		if errors.As(cerr, &ue) {
			left = *ue
		} else if cerr != nil {
			t.Errorf("close: %v", cerr)
		}
		s := c.Stats()
		mu.Lock()
		defer mu.Unlock()
		total := 0
		distinct := 0
		for id, n := range r.got {
			total += n
			distinct++
			if !alo && n > 1 {
				t.Errorf("%s came %d times", id, n)
			}
			if notsent[id] {
				t.Errorf("%s is NotSent but came", id)
			}
		}
		for i, list := range r.per {
			last := map[string]int{}
			for _, id := range list {
				a, b, _ := strings.Cut(id, "/")
				k, _ := strconv.Atoi(b)
				if l, ok := last[a]; ok && k <= l {
					t.Errorf("link %d: %s after %d", i, id, l)
				}
				last[a] = k
			}
		}
		missing, maybe := 0, 0
		for id := range accepted {
			if r.got[id] == 0 {
				missing++
			}
		}
		for id, err := range synced {
			if err != nil {
				maybe++
			} else if r.got[id] == 0 {
				t.Errorf("%s synced but missing", id)
			}
		}
		lost := int(s.Unknown) + int(s.Dropped) + left.Messages + left.MaybeSent
		if missing > lost {
			t.Errorf("missing %d, unknown %d dropped %d left %d+%d", missing, s.Unknown, s.Dropped, left.Messages, left.MaybeSent)
		}
		if !alo {
			sum := int(s.MessagesSent) + int(s.Dropped) + left.Messages
			lo := len(accepted) + len(synced)
			if sum < lo || sum > lo+len(notsent) {
				t.Errorf("sent %d + dropped %d + left %d, accepted %d+%d, notsent %d", s.MessagesSent, s.Dropped, left.Messages, len(accepted), len(synced), len(notsent))
			}
			if total > int(s.MessagesSent) {
				t.Errorf("%d arrived of %d sent", total, s.MessagesSent)
			}
			if int(s.MessagesSent)-total > int(s.Unknown)+left.MaybeSent {
				t.Errorf("sent %d, arrived %d, unknown %d, maybe %d", s.MessagesSent, total, s.Unknown, left.MaybeSent)
			}
		} else if missing > int(s.Dropped)+left.Messages+left.MaybeSent {
			t.Errorf("alo: missing %d, dropped %d left %d+%d", missing, s.Dropped, left.Messages, left.MaybeSent)
		}
		if s.Queued != 0 || s.Unacknowledged != 0 || s.QueuedBytes != 0 {
			t.Errorf("something queued after the end: %+v", s)
		}
		var ep uint64
		unknown, dropped := 0, 0
		w.mu.Lock()
		for i, e := range w.events {
			switch e.Kind {
			case holdfast.EventConnected:
				if e.Epoch != ep+1 {
					t.Errorf("epoch %d after %d", e.Epoch, ep)
				}
				ep = e.Epoch
			case holdfast.EventDisconnected:
				unknown += e.Count
			case holdfast.EventDropped:
				dropped += e.Count
			case holdfast.EventClosed:
				if i != len(w.events)-1 {
					t.Errorf("closed not last")
				}
			}
		}
		w.mu.Unlock()
		if unknown != int(s.Unknown) || dropped != int(s.Dropped) {
			t.Errorf("events: unknown %d of %d, dropped %d of %d", unknown, s.Unknown, dropped, s.Dropped)
		}
	})
}
