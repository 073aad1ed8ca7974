package holdfast_test

import (
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
)

// witness watches one Conn of the process.
type witness struct {
	of      *holdfast.Conn
	kinds   []holdfast.EventKind
	rtts    []time.Duration
	removed bool
}

func (w *witness) Event(m *registry.Member, event any) {
	if m.Value == w.of || w.of == nil {
		w.kinds = append(w.kinds, event.(holdfast.Event).Kind)
	}
}

func (w *witness) RTT(m *registry.Member, rtt time.Duration) { w.rtts = append(w.rtts, rtt) }
func (w *witness) Removed(*registry.Member)                  { w.removed = true }

// conns returns the Conns of the process, but for those of observers alone.
func conns() (all []*holdfast.Conn) {
	for _, m := range registry.Members() {
		if c := m.Value.(*holdfast.Conn); c != nil {
			all = append(all, c)
		}
	}
	return all
}

func TestProcessKnowsItsConns(t *testing.T) {
	bubble(t, func(w *world) {
		w.net.SetLatency(10 * time.Millisecond)
		c := w.dial(nil)
		require.True(t, slices.Equal(conns(), []*holdfast.Conn{c}))
		assert.Equal(t, worldURL, c.Stats().Endpoint)

		var heard witness // nobody need have asked for events
		stop := registry.Watch(&heard)
		defer stop()
		w.server.DropAll()
		time.Sleep(2 * time.Second)
		require.NoError(t, c.Send(w.Context(), holdfast.Text, []byte("x")))
		require.NoError(t, c.Flush(w.Context()))
		require.NoError(t, c.Close())
		<-c.Done()
		assert.Equal(t, []holdfast.EventKind{holdfast.EventDisconnected, holdfast.EventWaiting, holdfast.EventConnecting,
			holdfast.EventConnected, holdfast.EventGap, holdfast.EventClosed}, heard.kinds)
		assert.Equal(t, []time.Duration{20 * time.Millisecond}, heard.rtts)
		assert.True(t, heard.removed)
		assert.Empty(t, conns())
	})
}

func TestWhoNeverConnectedIsForgottenToo(t *testing.T) {
	bubble(t, func(w *world) {
		w.net.SetDown(syscall.ECONNREFUSED)
		_, err := w.tryDial(func(o *holdfast.Options) { o.Retry.MaxRetries = holdfast.NoRetry })
		require.ErrorIs(t, err, holdfast.ErrRetriesExhausted)
		synctest.Wait()
		assert.Empty(t, conns())
		_, err = holdfast.Dial(w.Context(), "nonsense", nil)
		require.ErrorAs(t, err, new(*holdfast.OptionError))
		assert.Empty(t, conns())
	})
}
