package deque

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestLikeASlice holds the deque beside a plain slice.
func TestLikeASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d Deque[*int]
		var model []*int
		push := func(n int) {
			for range n {
				v := len(model)
				d.Push(&v)
				model = append(model, &v)
			}
		}
		pop := func(n int) {
			for range min(n, len(model)) {
				require.Same(t, model[0], d.Pop())
				model = model[1:]
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push":      func(*rapid.T) { push(1) },
			"push many": func(t *rapid.T) { push(rapid.IntRange(2, 1500).Draw(t, "n")) },
			"pop":       func(*rapid.T) { pop(1) },
			"pop many":  func(t *rapid.T) { pop(rapid.IntRange(2, 1500).Draw(t, "n")) },
			"remove": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("empty")
				}
				i := rapid.IntRange(0, min(len(model), 300)-1).Draw(t, "i")
				require.Same(t, model[i], d.Remove(i))
				model = append(append([]*int(nil), model[:i]...), model[i+1:]...)
			},
			"reset": func(*rapid.T) {
				d.Reset()
				model = nil
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model), d.Len())
				require.Len(t, d.All(), len(model))
				for i, v := range model {
					if v != *d.At(i) || v != d.All()[i] {
						t.Fatalf("item %d differs", i)
					}
				}
				for i, v := range d.items[:cap(d.items)] {
					if v != nil && (i < d.head || i >= len(d.items)) {
						t.Fatalf("item %d of the memory is still held", i)
					}
				}
			},
		})
	})
}

func TestSlidingReusesItsMemory(t *testing.T) {
	var d Deque[int]
	for i := range 100 {
		d.Push(i)
	}
	next := 0
	slide := func() {
		for range 1000 {
			d.Push(next + 100)
			assert.Equal(t, next, d.Pop())
			next++
		}
	}
	slide()
	assert.LessOrEqual(t, cap(d.items), 512, "100 items at a time")
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		for range 1000 {
			d.Push(0)
			d.Pop()
		}
	}))
}

func TestMemoryOfABurstIsGivenBack(t *testing.T) {
	var d Deque[int]
	for i := range 5000 {
		d.Push(i)
	}
	for range 5000 {
		d.Pop()
	}
	assert.Zero(t, cap(d.items))
	d.Push(7)
	assert.Equal(t, 7, *d.At(0))
	assert.Equal(t, 1, d.Len())
}
