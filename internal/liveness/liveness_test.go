package liveness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const (
	lifeInterval = 25 * time.Second
	lifeTimeout  = 10 * time.Second
)

// lifeStep is a check at a moment, in seconds, with what was heard last.
type lifeStep struct {
	at, heard float64
	paused    bool
	probe     bool // the network changed at this moment
	want      Verdict
	next      float64
}

func TestLiveness(t *testing.T) {
	for name, c := range map[string]struct {
		interval time.Duration
		steps    []lifeStep
	}{
		"a peer that talks": {lifeInterval, []lifeStep{
			{at: 0, heard: 0, want: Alive, next: 25},
			{at: 25, heard: 20, want: Alive, next: 20},
			{at: 45, heard: 45, want: Alive, next: 25},
		}},
		"a silent peer that answers": {lifeInterval, []lifeStep{
			{at: 24.5, heard: 0, want: Alive, next: 0.5},
			{at: 25, heard: 0, want: AskForLife, next: 10},
			{at: 35, heard: 25.5, want: Alive, next: 15.5},
			{at: 50.5, heard: 25.5, want: AskForLife, next: 10},
		}},
		"an answer at the same moment": {lifeInterval, []lifeStep{
			{at: 25, heard: 0, want: AskForLife, next: 10},
			{at: 35, heard: 25, want: Alive, next: 15},
		}},
		"a Dead peer": {lifeInterval, []lifeStep{
			{at: 25, heard: 0, want: AskForLife, next: 10},
			{at: 30, heard: 0, want: Alive, next: 5}, // not asked twice
			{at: 34.5, heard: 0, want: Alive, next: 0.5},
			{at: 35, heard: 0, want: Dead},
		}},
		"a check that comes late": {lifeInterval, []lifeStep{
			{at: 100, heard: 0, want: AskForLife, next: 10}, // it may live: nothing has been asked
			{at: 200, heard: 0, want: Dead},
		}},
		"a paused reader": {lifeInterval, []lifeStep{
			{at: 100, heard: 0, paused: true, want: Alive, next: 25},
			{at: 125, heard: 110, want: Alive, next: 10}, // heard: the pause ended then
			{at: 135, heard: 110, want: AskForLife, next: 10},
			{at: 145, heard: 110, paused: true, want: Alive, next: 25}, // the answer cannot be read
			{at: 170, heard: 165, want: Alive, next: 20},
			{at: 190, heard: 165, want: AskForLife, next: 10},
			{at: 200, heard: 165, want: Dead},
		}},
		"a change of the network": {lifeInterval, []lifeStep{
			{at: 5, heard: 0, probe: true, next: 3},
			{at: 7, heard: 0, want: Alive, next: 1},
			{at: 8, heard: 0, want: Dead},
		}},
		"a change that does no harm": {lifeInterval, []lifeStep{
			{at: 5, heard: 0, probe: true, next: 3},
			{at: 8, heard: 6, want: Alive, next: 23},
			{at: 31, heard: 6, want: AskForLife, next: 10},
		}},
		"a change after an answer that nobody has looked at": {lifeInterval, []lifeStep{
			{at: 25, heard: 0, want: AskForLife, next: 10},
			{at: 30, heard: 25.5, probe: true, next: 3}, // what came before the change proves nothing
			{at: 33, heard: 25.5, want: Dead},
		}},
		"turned off": {-1, []lifeStep{
			{at: 0, heard: 0, want: Alive},
			{at: 1e6, heard: 0, want: Alive},
			{at: 1e6, heard: 0, probe: true, next: 3},
			{at: 1e6 + 3, heard: 1e6 + 1, want: Alive},
			{at: 2e6, heard: 0, want: Alive},
			{at: 2e6, heard: 0, probe: true, next: 3},
			{at: 2e6 + 3, heard: 0, want: Dead},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &Liveness{Interval: c.interval, Timeout: lifeTimeout}
			for _, s := range c.steps {
				if s.probe {
					assert.Equal(t, time.Duration(s.next*float64(time.Second)), l.Probe(moment(s.at), moment(s.heard)))
					continue
				}
				v, next := l.Check(moment(s.at), moment(s.heard), s.paused)
				assert.Equal(t, s.want, v, "verdict at %v", s.at)
				assert.Equal(t, time.Duration(s.next*float64(time.Second)), next, "next check after %v", s.at)
			}
		})
	}
}

func moment(s float64) time.Time {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
}

// A loss is free of cost only while the network's change is what asked for life.
func TestLivenessRemembersWhyItAsked(t *testing.T) {
	asked := func() *Liveness {
		l := &Liveness{Interval: lifeInterval, Timeout: lifeTimeout}
		l.Probe(moment(100), moment(90))
		return l
	}
	dies := func(l *Liveness, at, heard float64) {
		t.Helper()
		v, _ := l.Check(moment(at), moment(heard), false)
		assert.Equal(t, AskForLife, v)
		v, _ = l.Check(moment(at+10), moment(heard), false)
		assert.Equal(t, Dead, v)
		assert.False(t, l.change, "this silence has nothing to do with it")
	}
	l := asked()
	v, _ := l.Check(moment(103), moment(90), false)
	assert.Equal(t, Dead, v)
	assert.True(t, l.change)

	l = asked()
	_, _ = l.Check(moment(103), moment(101), false) // answered
	dies(l, 130, 101)

	l = asked()
	_, _ = l.Check(moment(103), moment(90), true) // the reader is paused
	dies(l, 150, 110)
}

// Changes that follow each other must not put off the verdict for ever.
func TestLivenessOfALinkInANetworkThatFlaps(t *testing.T) {
	l := &Liveness{Interval: lifeInterval, Timeout: lifeTimeout}
	for s := 100.0; s < 200; s += 2 {
		l.Probe(moment(s), moment(90))
		if v, _ := l.Check(moment(s+1.9), moment(90), false); v == Dead {
			return
		}
	}
	t.Error("100 s without a sign of life, and no verdict")
}
