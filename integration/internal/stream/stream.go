// Package stream has the numbered messages that the commands of this module send both
// ways, and what judges them at their receiver.
package stream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync/atomic"
)

// Directions of a stream.
const (
	Up   = byte('u') // client to server
	Down = byte('d')
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	filling    = random(1 << 20)
)

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{'s', 't', 'o', 'r', 'm'})
	_, _ = r.Read(b)
	return b
}

// overhead is what a message has beside its filling: direction, number, checksum.
const overhead = 1 + 8 + 4

// Message appends the message n of a direction to dst. Most are small; a few
// are of many frames.
func Message(dst []byte, direction byte, n uint64) []byte {
	start := len(dst)
	dst = append(dst, direction)
	dst = binary.BigEndian.AppendUint64(dst, n)
	h := mix(n ^ uint64(direction)<<56)
	var size uint64
	switch pick := h % 1000; {
	case pick < 950:
		size = h >> 32 % 160
	case pick < 999:
		size = h >> 32 % 4096
	default:
		size = h >> 32 % (150 << 10)
	}
	at := h >> 10 % (uint64(len(filling)) - size)
	dst = append(dst, filling[at:at+size]...)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// mix scatters the bits of x (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Check returns the number of a message, which must be whole and of direction.
func Check(data []byte, direction byte) (uint64, error) {
	if len(data) < overhead {
		return 0, fmt.Errorf("a message of %d bytes", len(data))
	}
	body, sum := data[:len(data)-4], binary.BigEndian.Uint32(data[len(data)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return 0, fmt.Errorf("a message of %d bytes with a wrong checksum", len(data))
	}
	if data[0] != direction {
		return 0, fmt.Errorf("a message of the other direction")
	}
	return binary.BigEndian.Uint64(data[1:]), nil
}

// Stream is one direction, as its receiver sees it.
type Stream struct {
	Name      string
	Direction byte
	Received  atomic.Uint64
	Bytes     atomic.Uint64
	trip      atomic.Pointer[trip]
}

// trip is a number of messages whose receipt is waited for.
type trip struct {
	at      uint64
	reached chan struct{}
}

// Take judges the next message.
func (s *Stream) Take(data []byte, epoch uint64) error {
	n, err := Check(data, s.Direction)
	if err != nil {
		return fmt.Errorf("%s: %w, after %d", s.Name, err, s.Received.Load())
	}
	switch want := s.Received.Load(); {
	case n < want:
		return fmt.Errorf("%s: message %d came twice, or out of order: %d was next", s.Name, n, want)
	case n > want:
		return fmt.Errorf("%s: messages %d to %d are lost, or out of order", s.Name, want, n-1)
	case epoch != 1:
		return fmt.Errorf("%s: message %d is of epoch %d: a gap", s.Name, n, epoch)
	}
	s.Bytes.Add(uint64(len(data)))
	got := s.Received.Add(1)
	if t := s.trip.Load(); t != nil && got >= t.at && s.trip.CompareAndSwap(t, nil) {
		close(t.reached)
	}
	return nil
}

// When returns a channel that is closed when n messages have been received.
func (s *Stream) When(n uint64) <-chan struct{} {
	t := &trip{at: n, reached: make(chan struct{})}
	s.trip.Store(t)
	if s.Received.Load() >= n && s.trip.CompareAndSwap(t, nil) {
		close(t.reached)
	}
	return t.reached
}
