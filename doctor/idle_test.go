package doctor_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func ms(d time.Duration) float64 { return float64(d.Milliseconds()) }

func TestIdleLinksLive(t *testing.T) {
	bubble(t, func(t *testing.T, _ *holdfasttest.Memory, s *holdfasttest.Server, o *doctor.Options) {
		o.Idle = 5 * time.Minute
		r := run(t, s.URL(), o)
		f := facts[doctor.IdleFacts](t, r, doctor.StepIdle)
		assert.Equal(t, doctor.OK, r.Step(doctor.StepIdle).Status)
		assert.Len(t, f.Links, 6)
		assert.InDelta(t, ms(o.Idle), f.SurvivedMS, 1)
		assert.Zero(t, f.KeepaliveMS)
		assert.False(t, f.ServerPings)
		assert.Equal(t, doctor.OK, r.Verdict.Status)
	})
}

// Something on the way resets links after 100 s of silence.
func TestIdleLinksAreClosed(t *testing.T) {
	bubble(t, func(t *testing.T, _ *holdfasttest.Memory, s *holdfasttest.Server, o *doctor.Options) {
		o.Idle = 5 * time.Minute
		s.OnRequest(func(int, *http.Request) holdfasttest.Reply { return holdfasttest.After(100 * time.Second).Reset() })
		r := run(t, s.URL(), o)
		f := facts[doctor.IdleFacts](t, r, doctor.StepIdle)
		assert.Equal(t, doctor.Warn, r.Step(doctor.StepIdle).Status)
		assert.Equal(t, []string{"alive", "alive", "closed", "closed", "closed", "closed"}, ends(f))
		assert.InDelta(t, ms(time.Minute), f.SurvivedMS, 1)
		assert.InDelta(t, ms(100*time.Second), f.Links[5].LastedMS, 1)
		assert.InDelta(t, ms(50*time.Second), f.KeepaliveMS, 1)
		assert.True(t, r.Verdict.OK)
		assert.Contains(t, strings.Join(r.Verdict.Advice, " "), "keep Keepalive.Interval at 50.0 s or less; its default, 25s, will do")
	})
}

// Something on the way forgets links without a word, as address translation does.
func TestIdleLinksAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, _ *holdfasttest.Memory, s *holdfasttest.Server, o *doctor.Options) {
		o.Idle = time.Minute
		s.OnRequest(func(int, *http.Request) holdfasttest.Reply { return holdfasttest.After(20 * time.Second).Freeze() })
		r := run(t, s.URL(), o)
		f := facts[doctor.IdleFacts](t, r, doctor.StepIdle)
		assert.Equal(t, []string{"alive", "alive", "dead", "dead", "dead", "dead"}, ends(f))
		assert.InDelta(t, ms(12*time.Second), f.SurvivedMS, 1)
		assert.InDelta(t, ms(12*time.Second), f.KeepaliveMS, 1)
		assert.Contains(t, strings.Join(r.Verdict.Advice, " "), "set Keepalive.Interval to 12.0 s or less")
	})
}

// A server that pings breaks the silence, and the report says so.
func TestIdleServerPings(t *testing.T) {
	bubble(t, func(t *testing.T, _ *holdfasttest.Memory, s *holdfasttest.Server, o *doctor.Options) {
		o.Idle = 5 * time.Minute
		s.Handle(listening(t, nil))
		r := run(t, s.URL(), o)
		f := facts[doctor.IdleFacts](t, r, doctor.StepIdle)
		assert.Equal(t, []string{"alive", "alive", "alive", "alive", "alive", "alive"}, ends(f))
		assert.True(t, f.ServerPings)
		assert.InDelta(t, ms(25*time.Second), f.SurvivedMS, 1)
		assert.Contains(t, r.Step(doctor.StepIdle).Summary, "the server itself speaks")
	})
}

func ends(f *doctor.IdleFacts) (list []string) {
	for _, l := range f.Links {
		list = append(list, l.End)
	}
	return list
}

// The verdict stands though the wait was called off.
func TestIdleIsCalledOff(t *testing.T) {
	bubble(t, func(t *testing.T, _ *holdfasttest.Memory, s *holdfasttest.Server, o *doctor.Options) {
		o.Idle = 5 * time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		r, err := doctor.Run(ctx, s.URL(), o)
		require.NoError(t, err)
		assert.True(t, r.Verdict.OK)
		assert.Equal(t, doctor.Skipped, r.Step(doctor.StepIdle).Status)
	})
}
