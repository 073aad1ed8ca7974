package holdfast

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The life of a Conn once more, as one would tell it. A pair of state and input
// that is not named here cannot happen.
var life = map[State]map[input]State{
	StateConnecting: {inputUp: StateConnected, inputFailed: StateWaiting, inputRedial: StateConnecting,
		inputOffline: StateOffline, inputClose: StateClosing, inputStop: StateClosed},
	StateConnected: {inputFailed: StateWaiting, inputRedial: StateConnecting, inputOffline: StateOffline,
		inputClose: StateClosing, inputStop: StateClosed},
	StateWaiting: {inputDial: StateConnecting, inputRedial: StateConnecting, inputOffline: StateOffline,
		inputClose: StateClosing},
	StateOffline: {inputUp: StateConnected, inputFailed: StateWaiting, inputRedial: StateConnecting,
		inputDial: StateConnecting, inputClose: StateClosing, inputStop: StateClosed},
	StateClosing: {inputStop: StateClosed},
	StateClosed:  {},
}

func TestEveryPairOfStateAndInput(t *testing.T) {
	require.Len(t, transitions, int(StateClosed)+1)
	require.Len(t, life, len(transitions))
	for s := range State(len(transitions)) {
		for in := range inputs {
			want, can := life[s][in]
			to, ok := s.next(in)
			assert.Equal(t, can, ok, "%v, %v", s, in)
			if can {
				assert.Equal(t, want, to, "%v, %v", s, in)
			} else {
				assert.Equal(t, never, to, "%v, %v", s, in)
			}
		}
	}
}

func TestEveryStateIsReached(t *testing.T) {
	reached := map[State]bool{StateConnecting: true}
	for range transitions {
		for s := range reached {
			for in := range inputs {
				if to, ok := s.next(in); ok {
					reached[to] = true
				}
			}
		}
	}
	for s := range State(len(transitions)) {
		assert.True(t, reached[s], s)
	}
}

func TestClosedIsReachedFromEverywhere(t *testing.T) {
	for s := range StateClosed {
		if s == StateClosing {
			continue
		}
		to, ok := s.next(inputClose)
		assert.True(t, ok, s)
		assert.Equal(t, StateClosing, to, s)
	}
	for in := range inputs {
		_, ok := StateClosed.next(in)
		assert.False(t, ok, "Closed is final: %v", in)
	}
}

func TestNames(t *testing.T) {
	for want, s := range map[string]interface{ String() string }{
		"connecting": StateConnecting, "connected": StateConnected, "waiting": StateWaiting,
		"offline": StateOffline, "closing": StateClosing, "closed": StateClosed,
		"State(6)": State(6), "State(-1)": never,
		"EventKind(-1)": EventKind(-1), "EventKind(99)": EventKind(99),
		"maybe sent": MaybeSent, "not sent": NotSent,
		"text": Text, "binary": Binary, "MessageType(3)": MessageType(3),
	} {
		assert.Equal(t, want, s.String())
	}
	seen := map[string]bool{}
	for k := range EventClosed + 1 {
		assert.NotContains(t, k.String(), "EventKind", "it has a name")
		assert.False(t, seen[k.String()], k)
		seen[k.String()] = true
	}
	for in := range inputs {
		assert.NotEmpty(t, in.String())
	}
}
