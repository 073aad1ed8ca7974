package pump

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/internal/inbox"
	"github.com/holdfast-ws/holdfast/transport"
)

// script is a link that looks ahead as its test says.
type script struct {
	transport.Link
	sizes []int       // of the messages that come
	await func(i int) // called before message i is waited for
	waits func(i int) bool
	at    int
	dst   []int // capacity that each Read was given
}

func (s *script) Peek() (int, bool) {
	if s.at == len(s.sizes) || s.waits(s.at) {
		return 0, false
	}
	return s.sizes[s.at], true
}

func (s *script) Await() bool {
	if s.at < len(s.sizes) {
		s.await(s.at)
		s.waits = func(int) bool { return false }
	}
	return true
}

func (s *script) Read(dst []byte) (transport.MessageType, []byte, error) {
	if s.at == len(s.sizes) {
		return 0, dst, errSourceEnd
	}
	s.dst = append(s.dst, cap(dst))
	s.at++
	return transport.Binary, append(dst, make([]byte, s.sizes[s.at-1])...), nil
}

// A receiver that waits is woken when the reader has to wait, and by then all that
// was at hand is in the queue.
func TestAReceiverIsWokenWhenTheLinkIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := inbox.New(1<<20, func() {})
		got := make(chan struct{})
		go func() {
			for range 100 {
				_, _ = in.Receive(context.Background())
				got <- struct{}{}
			}
		}()
		synctest.Wait()
		s := &script{sizes: make([]int, 100)}
		s.waits = func(i int) bool { return i == 60 }
		s.await = func(i int) {
			assert.Equal(t, 60, i)
			<-got // the first
			assert.GreaterOrEqual(t, in.Stats().Queued, 58)
		}
		assert.ErrorIs(t, ReadPlain(s, in, 1, nil), errSourceEnd)
		for range 99 {
			<-got
		}
	})
}

func TestNoLargeBufferIsHeldWhileTheLinkIsQuiet(t *testing.T) {
	in := inbox.New(1<<20, func() {})
	s := &script{sizes: []int{10, 100_000, 10, 100_000}}
	r := newReader(s, in)
	defer r.free()
	s.waits = func(int) bool { return false }
	read := func() {
		t.Helper()
		_, err := r.next()
		require.NoError(t, err)
	}
	read()
	read()
	assert.GreaterOrEqual(t, s.dst[1], maxKept, "it was known how much comes")
	assert.Less(t, s.dst[1], 100_000, "nobody is trusted with more than came before")
	s.waits = func(int) bool { return true }
	s.await = func(int) { assert.Nil(t, r.mem) }
	read()
	s.waits = func(int) bool { return true }
	s.await = func(int) {
		require.NotNil(t, r.mem)
		assert.LessOrEqual(t, cap(r.mem.B), maxIdle)
	}
	read()
}

// What comes again and again is read without growing.
func TestTheNextMessageMayBeTwiceAsLarge(t *testing.T) {
	s := &script{sizes: []int{10, 100_000, 200_000, 400_000, 800_001}}
	r := newReader(s, inbox.New(1<<20, func() {}))
	defer r.free()
	s.waits = func(int) bool { return false }
	for range s.sizes {
		_, err := r.next()
		require.NoError(t, err)
	}
	assert.GreaterOrEqual(t, s.dst[2], 200_000)
	assert.GreaterOrEqual(t, s.dst[3], 400_000)
}
