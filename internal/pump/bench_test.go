package pump

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/outbox"
	"github.com/holdfast-ws/holdfast/transport"
)

// BenchmarkOneWay sends messages of 128 bytes through two Ends over a link in
// memory.
func BenchmarkOneWay(b *testing.B) {
	w := newWorld(b, setup{limits: outbox.Limits{MaxBytes: 8 << 20, MaxMessages: 65536}}, setup{window: 4 << 20})
	defer w.end()
	w.client.Flow()
	w.server.Flow()
	w.connect(0)
	ctx := context.Background()
	msg := transport.Message{Type: transport.Binary, Data: make([]byte, 128)}
	b.ReportAllocs()
	b.SetBytes(int64(len(msg.Data)))
	b.ResetTimer()
	go func() {
		for range b.N {
			if w.client.out.Push(ctx, msg.Type, msg.Data, nil) != nil {
				return
			}
		}
	}()
	for range b.N {
		_, err := w.server.in.Receive(ctx)
		if err != nil {
			require.NoError(b, err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkSync sends one message at a time, and waits until the peer has it.
func BenchmarkSync(b *testing.B) {
	w := newWorld(b, setup{}, setup{})
	defer w.end()
	w.client.Flow()
	w.server.Flow()
	w.connect(0)
	ctx := context.Background()
	msg := transport.Message{Type: transport.Binary, Data: make([]byte, 128)}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		waiter := outbox.NewWaiter()
		require.NoError(b, w.client.out.Push(ctx, msg.Type, msg.Data, waiter))
		require.NoError(b, w.client.out.Wait(ctx, waiter, 0, errEnd))
		_, err := w.server.in.Receive(ctx)
		require.NoError(b, err)
	}
}
