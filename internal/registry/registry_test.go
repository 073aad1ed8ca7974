package registry

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// notes is a watcher that writes down what it hears.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, fmt.Sprintf(format, args...))
}

func (n *notes) Event(m *Member, event any)       { n.note("%v: %v", m.Value, event) }
func (n *notes) RTT(m *Member, rtt time.Duration) { n.note("%v: %v", m.Value, rtt) }
func (n *notes) Removed(m *Member)                { n.note("%v removed", m.Value) }

func (n *notes) heard() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list
}

func values() (all []any) {
	for _, m := range Members() {
		all = append(all, m.Value)
	}
	return all
}

func TestMembersAreThereUntilTheyAreRemoved(t *testing.T) {
	a, b := Add("a"), Add("b")
	assert.Equal(t, []any{"a", "b"}, values(), "in the order of their age")
	assert.Less(t, a.ID, b.ID)
	a.Remove()
	assert.Equal(t, []any{"b"}, values())
	b.Remove()
	assert.Empty(t, values())
}

func TestWatchersHearWhileTheyWatch(t *testing.T) {
	assert.False(t, Watched())
	a, b := Add("a"), Add("b")
	a.Event("unheard")
	var one, two notes
	stopOne := Watch(&one)
	require.True(t, Watched())
	a.Event("up")
	stopTwo := Watch(&two)
	b.RTT(time.Second)
	stopOne()
	stopOne() // once more does nothing
	b.Event("down")
	b.Remove()
	stopTwo()
	a.Event("unheard")
	a.Remove()
	assert.Equal(t, []string{"a: up", "b: 1s"}, one.heard())
	assert.Equal(t, []string{"b: 1s", "b: down", "b removed"}, two.heard())
	assert.False(t, Watched())
}

func TestManyAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				var n notes
				stop := Watch(&n)
				m := Add("many")
				m.Event("up")
				m.Remove()
				stop()
				assert.GreaterOrEqual(t, len(n.heard()), 2)
			}
		})
	}
	wg.Wait()
	assert.Empty(t, Members())
	assert.False(t, Watched())
}
