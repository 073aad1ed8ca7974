package holdfast_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/transport"
)

// void is a transport whose links take everything at once, and bring nothing.
type void struct {
	wrote atomic.Int64  // messages
	gate  chan struct{} // each Write waits until it is closed, if not nil
}

type voidLink struct {
	*void
	once sync.Once
	done chan struct{}
}

func (v *void) Name() string { return "void" }

func (v *void) Dial(context.Context, *transport.Request) (transport.Link, error) {
	return &voidLink{void: v, done: make(chan struct{})}, nil
}

func (l *voidLink) Read(dst []byte) (transport.MessageType, []byte, error) {
	<-l.done
	return 0, dst, net.ErrClosed
}

func (l *voidLink) Write(msgs []transport.Message) (n int, err error) {
	if l.gate != nil {
		select {
		case <-l.gate:
		case <-l.done:
			return 0, net.ErrClosed
		}
	}
	l.wrote.Add(int64(len(msgs)))
	return len(msgs), nil
}

func (l *voidLink) Ping(uint64) error { return nil }

func (l *voidLink) Close(context.Context, uint16, string) error { return nil }

func (l *voidLink) Abort() { l.once.Do(func() { close(l.done) }) }

func (l *voidLink) LastRead() time.Time { return time.Now() }

func (l *voidLink) Info() *transport.Info { return &transport.Info{} }

// dialVoid returns a Conn whose messages go nowhere.
func dialVoid(t testing.TB) (*holdfast.Conn, *void) {
	v := &void{}
	return v.dial(t, holdfast.SendBuffer{}), v
}

func (v *void) dial(t testing.TB, b holdfast.SendBuffer) *holdfast.Conn {
	c, err := holdfast.Dial(t.Context(), "http://127.0.0.1/", &holdfast.Options{Fallback: []holdfast.Transport{v}, Session: holdfast.SessionOff, SendBuffer: b})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// A link that takes nothing holds up nobody who has room, and nobody beyond ctx.
func TestPromise11SendDoesNotWaitForTheLink(t *testing.T) {
	v := &void{gate: make(chan struct{})}
	c := v.dial(t, holdfast.SendBuffer{MaxMessages: 4})
	data := []byte("0123")
	for range 4 {
		require.NoError(t, c.Send(context.Background(), holdfast.Text, data))
		copy(data, "xxxx") // it is copied
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := c.Send(ctx, holdfast.Text, data)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var sendErr *holdfast.SendError
	require.ErrorAs(t, err, &sendErr)
	assert.Equal(t, holdfast.NotSent, sendErr.Outcome)
	assert.Equal(t, holdfast.StateConnected, c.State())
	close(v.gate)
	require.Eventually(t, func() bool { return v.wrote.Load() == 4 }, 10*time.Second, time.Millisecond)
	assert.EqualValues(t, 1, c.Stats().Epoch)
}

func TestAnIdleConnHasTwoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	const n = 50
	for range n {
		c, v := dialVoid(t)
		for range 100 {
			require.NoError(t, c.Send(t.Context(), holdfast.Binary, []byte("x")))
		}
		require.Eventually(t, func() bool { return v.wrote.Load() == 100 }, 10*time.Second, time.Millisecond)
	}
	const shared = 3 // the network's watcher
	assert.Eventually(t, func() bool { return runtime.NumGoroutine()-before <= 2*n+shared }, 10*time.Second, time.Millisecond)
}

func TestSendAllocatesNothing(t *testing.T) {
	c, _ := dialVoid(t)
	data := make([]byte, 128)
	for range 10_000 {
		require.NoError(t, c.Send(t.Context(), holdfast.Binary, data))
	}
	ctx := context.Background()
	allocs := testing.AllocsPerRun(10_000, func() { _ = c.Send(ctx, holdfast.Binary, data) })
	if !raceEnabled {
		assert.Zero(t, allocs)
	}
}

// BenchmarkSendPath measures Send of 128 bytes and what carries the message to
// its link: one that takes everything at once, or a socket whose other end reads
// and forgets in a process of its own.
func BenchmarkSendPath(b *testing.B) {
	for _, senders := range []int{1, 8} {
		name := map[int]string{1: "1", 8: "8"}[senders]
		b.Run("void/"+name, func(b *testing.B) {
			c, v := dialVoid(b)
			sendAll(b, c, senders, func() bool { return v.wrote.Load() >= int64(b.N) })
		})
		b.Run("sink/"+name, func(b *testing.B) {
			c, err := holdfast.Dial(b.Context(), childSink(b), &holdfast.Options{Session: holdfast.SessionOff})
			require.NoError(b, err)
			sendAll(b, c, senders, func() bool { return c.Stats().Queued == 0 })
			_ = c.CloseNow()
		})
	}
}

func sendAll(b *testing.B, c *holdfast.Conn, senders int, written func() bool) {
	data := make([]byte, 128)
	ctx := context.Background()
	b.ReportAllocs()
	b.SetBytes(128)
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for range (b.N + i) / senders {
				if err := c.Send(ctx, holdfast.Binary, data); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for !written() {
		runtime.Gosched()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkEcho measures a message of 128 bytes there and back.
func BenchmarkEcho(b *testing.B) {
	c, err := holdfast.Dial(b.Context(), childServer(b), &holdfast.Options{Session: holdfast.SessionOff})
	require.NoError(b, err)
	data := make([]byte, 128)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		require.NoError(b, c.Send(context.Background(), holdfast.Binary, data))
		_, err := c.Receive(context.Background())
		require.NoError(b, err)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	_ = c.CloseNow()
}

// childSink runs a server in a process of its own that upgrades each connection
// and forgets what comes.
func childSink(b *testing.B) (url string) {
	return childProcess(b, "TestChildSink", "HOLDFAST_CHILD_SINK")
}

// TestChildSink is the server of childSink; it ends with its standard input.
func TestChildSink(t *testing.T) {
	if os.Getenv("HOLDFAST_CHILD_SINK") == "" {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, plainAnswer(req))
				buf := make([]byte, 256<<10)
				for err == nil {
					_, err = conn.Read(buf)
				}
			}()
		}
	}()
	fmt.Printf("ws://%v/\n", l.Addr())
	_, _ = os.Stdin.Read(make([]byte, 1))
}
