package chaos

import (
	"sync"

	"github.com/holdfast-ws/holdfast/integration/internal/stream"
)

// tally counts the messages of one direction at their receiver, whatever comes.
type tally struct {
	direction byte

	mu                                 sync.Mutex
	seen                               []bool
	next                               int // after the highest so far
	got                                int // different ones
	doubled, disordered, damaged, gaps int
}

func newTally(direction byte, messages int) *tally {
	return &tally{direction: direction, seen: make([]bool, messages)}
}

// take notes a message.
func (t *tally) take(data []byte, epoch uint64) {
	n, err := stream.Check(data, t.direction)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil || n >= uint64(len(t.seen)):
		t.damaged++
		return
	case t.seen[n]:
		t.doubled++
		return
	case int(n) < t.next:
		t.disordered++
	}
	if epoch != 1 {
		t.gaps++
	}
	t.seen[n] = true
	t.got++
	t.next = max(t.next, int(n)+1)
}

// received counts different messages.
func (t *tally) received() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.got
}

// add puts what was counted into a result.
func (t *tally) add(r *Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Messages += len(t.seen)
	r.Lost += len(t.seen) - t.got
	r.Doubled += t.doubled
	r.Disordered += t.disordered
	r.Damaged += t.damaged
	r.Gaps += t.gaps
}
