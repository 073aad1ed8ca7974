package inbox

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/holdfast-ws/holdfast/internal/deque"
	"github.com/holdfast-ws/holdfast/transport"
)

// lane is a queue of messages, or of receivers that wait for one. The reader adds
// to back; receivers take from front, and all of back when front is empty: so the
// two meet once for many messages.
type lane struct {
	taking sync.Mutex // one receiver at a time; taken before Queue.mu
	front  store      // guarded by taking
	took   int        // messages taken; guarded by taking

	// What was put and taken, with overhead: the difference is the lane's size.
	// out has the writer that holds taking. When it reaches look, somebody waits
	// for it.
	out  atomic.Int64
	look atomic.Int64

	_ [64]byte // what the reader changes has a cache line of its own

	// The rest is guarded by Queue.mu.
	in      int64
	put     int // messages put
	back    store
	waiting deque.Deque[*receiver]
	err     error // ends the lane, after its messages
}

// never is a lane's look while nobody waits.
const never = math.MaxInt64

func charge(m transport.Message) int64 { return int64(len(m.Data)) + Overhead }

func (l *lane) size() int64 { return l.in - l.out.Load() }

// counts returns how many messages there are, and their bytes. Both locks are
// held.
func (l *lane) counts() (messages int, bytes int64) {
	n := l.put - l.took
	return n, l.size() - int64(n)*Overhead
}

// count is for a message that was put.
func (l *lane) count(m transport.Message) {
	l.in += charge(m)
	l.put++
}

// take removes the first message of front, whose data is appended to dst if
// extend says so, and else exactly sized.
func (l *lane) take(dst []byte, extend bool, m *transport.Message) {
	f := l.front.front()
	*m = copyTo(f, dst, extend)
	l.front.drop(len(f.Data))
	l.out.Store(l.out.Load() + charge(f))
	l.took++
}

func copyTo(m transport.Message, dst []byte, extend bool) transport.Message {
	if extend {
		m.Data = append(dst, m.Data...)
		return m
	}
	data := make([]byte, len(m.Data))
	copy(data, m.Data)
	m.Data = data
	return m
}

// reset leaves the lane as new, but for who waits. Both locks are held.
func (l *lane) reset() {
	l.front.clear()
	l.back.clear()
	l.in, l.put, l.took = 0, 0, 0
	l.out.Store(0)
	l.look.Store(never)
}

// receiver waits for a message.
type receiver struct {
	got     chan struct{} // capacity 1: m or err is set
	helping atomic.Pointer[Helper]
	dst     []byte
	extend  bool
	m       transport.Message
	err     error
}

// clear readies it for another wait.
func (r *receiver) clear() { r.dst, r.m, r.err = nil, transport.Message{}, nil }
