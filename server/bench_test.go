package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/internal/pump"
	"github.com/holdfast-ws/holdfast/internal/session"
	"github.com/holdfast-ws/holdfast/internal/wire"
	"github.com/holdfast-ws/holdfast/transport"
)

// benchServer serves s on loopback.
func benchServer(b *testing.B, handle func(context.Context, *Session) error) *world {
	s := New(handle, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	h := &http.Server{Handler: s}
	go func() { _ = h.Serve(l) }()
	w := &world{Server: s, tr: &http.Transport{MaxIdleConnsPerHost: 4}, url: "http://" + l.Addr().String() + "/"}
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
		_ = h.Close()
		w.tr.CloseIdleConnections()
	})
	return w
}

func (c *client) must(b *testing.B, op string, k uint64, body []byte) []byte {
	answer, err := c.ask(op, k, body)
	if err != nil {
		b.Fatal(err)
	}
	return answer
}

func (c *client) ask(op string, k uint64, body []byte) ([]byte, error) {
	h := http.Header{"Content-Type": {wire.MediaType}, headerOp: {op}, headerSession: {c.credential()}, headerAttachment: {"1"},
		headerPoll: {strconv.FormatUint(k, 10)}, headerHang: {"20000"}}
	r, _ := http.NewRequest(http.MethodPost, c.url, bytes.NewReader(body))
	r.Header = h
	resp, err := c.tr.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return nil, errors.New(resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// BenchmarkPollDown sends 128 B messages to a client that polls.
func BenchmarkPollDown(b *testing.B) {
	w := benchServer(b, func(ctx context.Context, s *Session) error {
		data := make([]byte, 128)
		for {
			if err := s.Send(ctx, transport.Binary, data); err != nil {
				return err
			}
		}
	})
	c, in, att := w.benchClient(b)
	b.SetBytes(128)
	b.ResetTimer()
	go func() {
		for k := uint64(1); !isClosed(att.Gone()); k++ {
			answer, err := c.ask("poll", k, att.Poll())
			if err != nil {
				return
			}
			_ = att.Receive(answer)
		}
	}()
	for range b.N {
		_, _ = in.Receive(context.Background())
	}
	b.StopTimer()
	att.Detach()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkPollUp sends 128 B messages from a client that polls.
func BenchmarkPollUp(b *testing.B) {
	received := make(chan struct{})
	w := benchServer(b, func(ctx context.Context, s *Session) error {
		for range b.N {
			if _, err := s.Receive(ctx); err != nil {
				return err
			}
		}
		close(received)
		<-ctx.Done()
		return nil
	})
	c, _, att := w.benchClient(b)
	data := make([]byte, 128)
	b.SetBytes(128)
	b.ResetTimer()
	go func() {
		for range b.N {
			_ = c.out.Push(context.Background(), transport.Binary, data, nil)
		}
	}()
	for !isClosed(received) {
		frames := att.Next(nil, wire.MaxBatch-1024)
		if len(frames) == 0 {
			select {
			case <-att.Ready():
			case <-received:
			case <-time.After(10 * time.Millisecond): // the window opens by a poll, and none is made here
				frames = att.Poll()
			}
		}
		if len(frames) > 0 {
			_ = att.Receive(c.must(b, "send", 0, frames))
			att.Rewind()
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

type benchClient struct {
	*client
	out *outbox.Queue
}

func (w *world) benchClient(b *testing.B) (*benchClient, *inbox.Queue, *pump.Attachment) {
	c := &benchClient{client: w.client(), out: outbox.New(outbox.Limits{MaxBytes: 8 << 20, MaxMessages: 65536}, func(int, error) {})}
	in := inbox.New(4<<20, func() {})
	end := pump.New(pump.Config{Session: session.Config{MaxMessage: 1 << 20, Window: 4 << 20}, Out: c.out, In: in, MaxMessage: 1 << 20, Epoch: 1})
	end.Flow()
	f, _, err := wire.Parse(c.must(b, "open", 0, c.hello()))
	if err != nil {
		b.Fatal(err)
	}
	p, err := wire.ParseWelcome(f.Payload)
	if err != nil {
		b.Fatal(err)
	}
	c.sid = p.SID
	att, err := end.Attach(p, true)
	if err != nil {
		b.Fatal(err)
	}
	_ = att.Receive(c.must(b, "send", 0, att.Poll()))
	return c, in, att
}
