package holdfast_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// BenchmarkRecover measures from the moment a link is dropped to the first
// message over the next one, with no delay before the retry.
func BenchmarkRecover(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	s := holdfasttest.NewServer(l)
	defer s.Close()
	s.OnConnect(func(p *holdfasttest.Peer) {
		_ = p.Send(holdfast.Text, []byte("welcome"))
		_, _, _ = p.Receive()
	})
	c, err := holdfast.Dial(b.Context(), s.URL(), &holdfast.Options{
		Retry: holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited, New: func() holdfast.BackOff { return constant(0) }},
	})
	require.NoError(b, err)
	receive := func() {
		_, err := c.Receive(b.Context())
		require.NoError(b, err)
	}
	receive()
	for b.Loop() {
		s.DropAll()
		receive()
	}
	require.NoError(b, c.Close())
}

// BenchmarkServerBack measures from the moment a server that was down for 3 s
// listens again to the first message, with the default delays.
func BenchmarkServerBack(b *testing.B) {
	var total time.Duration
	n := 0
	for b.Loop() {
		total += serverBack(b)
		n++
	}
	b.ReportMetric(float64(total.Milliseconds())/float64(n), "ms-to-message")
}

func serverBack(b *testing.B) time.Duration {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	s := holdfasttest.NewServer(l)
	c, err := holdfast.Dial(b.Context(), s.URL(), nil)
	require.NoError(b, err)
	s.Close()
	time.Sleep(3 * time.Second)
	l, err = net.Listen("tcp", l.Addr().String())
	require.NoError(b, err)
	start := time.Now()
	s = holdfasttest.NewServer(l)
	defer s.Close()
	require.NoError(b, c.Send(b.Context(), holdfast.Text, []byte("x")))
	_, err = c.Receive(b.Context())
	require.NoError(b, err)
	took := time.Since(start)
	require.NoError(b, c.Close())
	return took
}

// BenchmarkFrozen measures how long a frozen server goes unnoticed, with pings
// after 1 s and 1 s to answer.
func BenchmarkFrozen(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	s := holdfasttest.NewServer(l)
	defer s.Close()
	lost := make(chan struct{}, 16)
	c, err := holdfast.Dial(b.Context(), s.URL(), &holdfast.Options{
		Keepalive: holdfast.Keepalive{Interval: time.Second, Timeout: time.Second},
		Retry:     holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited, New: func() holdfast.BackOff { return constant(0) }},
		OnEvent: func(e holdfast.Event) {
			if e.Kind == holdfast.EventDisconnected {
				lost <- struct{}{}
			}
		},
	})
	require.NoError(b, err)
	var total time.Duration
	n := 0
	for b.Loop() {
		require.NoError(b, c.SendSync(b.Context(), holdfast.Text, nil))
		start := time.Now()
		s.FreezeAll(true)
		<-lost
		total += time.Since(start)
		n++
		require.NoError(b, c.WaitConnected(b.Context()))
	}
	b.ReportMetric(float64(total.Milliseconds())/float64(n), "ms-to-notice")
	require.NoError(b, c.Close())
}

// BenchmarkIdle measures what an idle Conn holds, with its server in a process
// of its own.
func BenchmarkIdle(b *testing.B) {
	url := childServer(b)
	var conns []*holdfast.Conn
	defer func() {
		for _, c := range conns {
			_ = c.CloseNow()
		}
	}()
	heap, goroutines := usage()
	const n = 1000
	for range n {
		c, err := holdfast.Dial(b.Context(), url, nil)
		require.NoError(b, err)
		conns = append(conns, c)
	}
	heap2, goroutines2 := usage()
	for b.Loop() {
	}
	b.ReportMetric(float64(heap2-heap)/n/1024, "KiB/conn")
	b.ReportMetric(float64(goroutines2-goroutines)/n, "goroutines/conn")
}

func usage() (heap uint64, goroutines int) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse, runtime.NumGoroutine()
}

// childServer runs an echo server in a process of its own.
func childServer(b *testing.B) (url string) {
	return childProcess(b, "TestChildServer", "HOLDFAST_CHILD_SERVER")
}

// childProcess runs a test of this program in a process of its own, with env set,
// and returns the line that it prints.
func childProcess(b *testing.B, test, env string) (line string) {
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env+"=1")
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err = bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(line)
}

// TestChildServer is the server of childServer; it ends with its standard input.
func TestChildServer(t *testing.T) {
	if os.Getenv("HOLDFAST_CHILD_SERVER") == "" {
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := holdfasttest.NewServer(l)
	defer s.Close()
	fmt.Println(s.URL())
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// BenchmarkSend measures accepted messages of 128 bytes up to their receipt.
func BenchmarkSend(b *testing.B) {
	c, err := holdfast.Dial(context.Background(), childServer(b), nil)
	require.NoError(b, err)
	go func() {
		for {
			if _, err := c.Receive(context.Background()); err != nil {
				return
			}
		}
	}()
	data := make([]byte, 128)
	b.SetBytes(128)
	for b.Loop() {
		require.NoError(b, c.Send(context.Background(), holdfast.Binary, data))
	}
	require.NoError(b, c.Flush(context.Background()))
	_ = c.CloseNow()
}
