package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// machine is a client as the library has it, with its own queues, that changes
// its link all the time.
type machine struct {
	*client
	end *pump.End
	out *outbox.Queue
	in  *inbox.Queue
	rnd *rand.Rand

	answers atomic.Int64
}

func newMachine(w *world, seed uint64) *machine {
	m := &machine{client: w.client(), rnd: rand.New(rand.NewPCG(seed, 0))}
	m.out = outbox.New(outbox.Limits{MaxBytes: 1 << 20, MaxMessages: 64}, func(int, error) {})
	m.in = inbox.New(64<<10, func() {})
	m.end = pump.New(pump.Config{Session: session.Config{MaxMessage: 1 << 20, Window: 64 << 10}, Out: m.out, In: m.in, MaxMessage: 1 << 20, Epoch: 1})
	m.end.Flow()
	return m
}

// link attaches by one transport, serves it for a while, and cuts it.
func (m *machine) link(ctx context.Context) {
	life := time.Duration(m.rnd.IntN(3000)) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, life)
	defer cancel()
	if m.rnd.IntN(2) == 0 {
		m.overWebSocket(ctx)
	} else {
		m.overPolls(ctx)
	}
}

func (m *machine) overWebSocket(ctx context.Context) {
	l, err := m.dial(m.wsRequest())
	if err != nil {
		return
	}
	defer l.Abort()
	_, b, err := l.Read(nil)
	if err != nil {
		return
	}
	att, err := m.end.Attach(welcomeOf(m.t, parseFrames(m.t, b)[0]), false)
	require.NoError(m.t, err)
	defer att.Detach()
	wrote, read := later(func() error { return att.Write(l, ctx.Done()) }), later(func() error { return att.Read(l) })
	<-ctx.Done()
	l.Abort()
	_ = wrote()
	m.check(read())
}

// check knows no violation and no REJECT among the errors of links.
func (m *machine) check(err error) {
	var v *session.Violation
	var r *pump.Rejected
	if errors.As(err, &v) || errors.As(err, &r) && r.Status != 409 || errors.Is(err, session.ErrAhead) {
		assert.NoError(m.t, err)
	}
}

func (m *machine) overPolls(ctx context.Context) {
	a, err := m.post(ctx, "open", nil, m.hello())
	if err != nil {
		return
	}
	require.Equal(m.t, 200, a.status)
	welcome := welcomeOf(m.t, a.frames[0])
	att, err := m.end.Attach(welcome, true)
	require.NoError(m.t, err)
	defer att.Detach()
	number := strconv.FormatUint(att.Number(), 10)
	credential := (&client{sid: welcome.SID, secret: m.secret}).credential()
	post := func(op string, body []byte, k uint64) bool {
		h := http.Header{headerSession: {credential}, headerAttachment: {number}, headerPoll: {strconv.FormatUint(k, 10)}, headerHang: {"700"},
			"Content-Type": {wire.MediaType}, headerOp: {op}}
		answer, err := m.do(ctx, "POST", h, bytes.NewReader(body))
		if err != nil {
			return false
		}
		assert.Contains(m.t, []int{200, 409}, answer.status)
		if m.answers.Add(1)%5 == 0 {
			return true // the answer is lost
		}
		m.check(att.Receive(answer.body))
		return answer.status == 200
	}
	sends := later(func() bool {
		for ctx.Err() == nil {
			frames := att.Next(nil, wire.MaxBatch-1024)
			if len(frames) == 0 {
				select {
				case <-att.Ready():
				case <-ctx.Done():
				}
				continue
			}
			if !post("send", frames, 0) {
				time.Sleep(10 * time.Millisecond)
			}
			att.Rewind()
		}
		return true
	})
	for k := uint64(1); ctx.Err() == nil; k++ {
		if !post("poll", att.Poll(), k) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	sends()
}

// TestNothingIsLostOnTheWay sends numbers both ways while links and transports
// change, connections are reset and answers are lost.
func TestNothingIsLostOnTheWay(t *testing.T) {
	const messages = 400
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var server []string
				served := make(chan struct{})
				w := newWorld(t, New(func(ctx context.Context, s *Session) error {
					go func() {
						rnd := rand.New(rand.NewPCG(seed, 1))
						for i := range messages {
							if !assert.NoError(t, s.Send(ctx, transport.Text, payload(i, rnd))) {
								return
							}
							time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
						}
					}()
					for range messages {
						m, err := s.Receive(ctx)
						require.NoError(t, err)
						assert.EqualValues(t, 1, m.Epoch)
						server = append(server, number(m.Data))
					}
					close(served)
					<-ctx.Done()
					return nil
				}, nil))
				defer w.stop()
				w.net.SetLatency(20 * time.Millisecond)
				m := newMachine(w, seed)
				ctx, cancel := context.WithCancel(context.Background())
				var got []string
				received := make(chan struct{})
				go func() {
					for range messages {
						msg, err := m.in.Receive(ctx)
						if err != nil {
							return
						}
						got = append(got, number(msg.Data))
					}
					close(received)
				}()
				go func() {
					rnd := rand.New(rand.NewPCG(seed, 2))
					for i := range messages {
						if m.out.Push(ctx, transport.Text, payload(i, rnd), nil) != nil {
							return
						}
						time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
					}
				}()
				go func() {
					rnd := rand.New(rand.NewPCG(seed, 3))
					for ctx.Err() == nil {
						time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
						w.net.Reset()
					}
				}()
				deadline := time.Now().Add(time.Hour)
				for !isClosed(served) || !isClosed(received) {
					require.True(t, time.Now().Before(deadline), "it takes too long")
					m.link(ctx)
					time.Sleep(time.Millisecond)
				}
				cancel()
				want := make([]string, messages)
				for i := range want {
					want[i] = fmt.Sprint(i)
				}
				assert.Equal(t, want, server)
				assert.Equal(t, want, got)
				time.Sleep(time.Minute)
			})
		})
	}
}

// payload begins with a number, and is of any length.
func payload(i int, rnd *rand.Rand) []byte {
	size := rnd.IntN(300)
	if rnd.IntN(20) == 0 {
		size = rnd.IntN(200 << 10)
	}
	return append([]byte(fmt.Sprint(i)+" "), bytes.Repeat([]byte("x"), size)...)
}

func number(b []byte) string {
	n, _, _ := bytes.Cut(b, []byte(" "))
	return string(n)
}
