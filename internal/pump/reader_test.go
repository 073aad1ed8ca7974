package pump

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/transport"
)

var errSourceEnd = errors.New("the source has ended")

// source is a link that brings n messages of one size, as many as fit into 64 KiB
// between two waits.
type source struct {
	transport.Link
	data []byte
	n    int
	at   int
}

func newSource(n, size int) *source { return &source{n: n, data: make([]byte, size)} }

func (s *source) Read(dst []byte) (transport.MessageType, []byte, error) {
	if s.n == 0 {
		return 0, dst, errSourceEnd
	}
	s.n--
	s.at -= len(s.data)
	return transport.Binary, append(dst, s.data...), nil
}

func (s *source) Peek() (int, bool) { return min(len(s.data), max(s.at, 0)), s.at >= len(s.data) }

func (s *source) Await() bool {
	s.at = max(64<<10, len(s.data))
	return true
}

func BenchmarkReadPlain(b *testing.B) {
	for _, size := range []int{128, 1 << 10, 16 << 10, 256 << 10} {
		for _, extend := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/append=%v", size, extend), func(b *testing.B) {
				in := inbox.New(4<<20, func() {})
				done := make(chan error)
				s := newSource(b.N, size)
				go func() { done <- ReadPlain(s, in, 1, nil) }()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				buf := make([]byte, 0, size)
				for range b.N {
					var err error
					if extend {
						_, err = in.ReceiveAppend(context.Background(), buf[:0])
					} else {
						_, err = in.Receive(context.Background())
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mmsg/s")
				require.ErrorIs(b, <-done, errSourceEnd)
			})
		}
	}
}
