package holdfast

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
	want      lifeVerdict
	next      float64
}

func TestLiveness(t *testing.T) {
	for name, c := range map[string]struct {
		interval time.Duration
		steps    []lifeStep
	}{
		"a peer that talks": {lifeInterval, []lifeStep{
			{at: 0, heard: 0, want: alive, next: 25},
			{at: 25, heard: 20, want: alive, next: 20},
			{at: 45, heard: 45, want: alive, next: 25},
		}},
		"a silent peer that answers": {lifeInterval, []lifeStep{
			{at: 24.5, heard: 0, want: alive, next: 0.5},
			{at: 25, heard: 0, want: askForLife, next: 10},
			{at: 35, heard: 25.5, want: alive, next: 15.5},
			{at: 50.5, heard: 25.5, want: askForLife, next: 10},
		}},
		"an answer at the same moment": {lifeInterval, []lifeStep{
			{at: 25, heard: 0, want: askForLife, next: 10},
			{at: 35, heard: 25, want: alive, next: 15},
		}},
		"a dead peer": {lifeInterval, []lifeStep{
			{at: 25, heard: 0, want: askForLife, next: 10},
			{at: 30, heard: 0, want: alive, next: 5}, // not asked twice
			{at: 34.5, heard: 0, want: alive, next: 0.5},
			{at: 35, heard: 0, want: dead},
		}},
		"a check that comes late": {lifeInterval, []lifeStep{
			{at: 100, heard: 0, want: askForLife, next: 10}, // it may live: nothing has been asked
			{at: 200, heard: 0, want: dead},
		}},
		"a paused reader": {lifeInterval, []lifeStep{
			{at: 100, heard: 0, paused: true, want: alive, next: 25},
			{at: 125, heard: 110, want: alive, next: 10}, // heard: the pause ended then
			{at: 135, heard: 110, want: askForLife, next: 10},
			{at: 145, heard: 110, paused: true, want: alive, next: 25}, // the answer cannot be read
			{at: 170, heard: 165, want: alive, next: 20},
			{at: 190, heard: 165, want: askForLife, next: 10},
			{at: 200, heard: 165, want: dead},
		}},
		"a change of the network": {lifeInterval, []lifeStep{
			{at: 5, heard: 0, probe: true, next: 3},
			{at: 7, heard: 0, want: alive, next: 1},
			{at: 8, heard: 0, want: dead},
		}},
		"a change that does no harm": {lifeInterval, []lifeStep{
			{at: 5, heard: 0, probe: true, next: 3},
			{at: 8, heard: 6, want: alive, next: 23},
			{at: 31, heard: 6, want: askForLife, next: 10},
		}},
		"a change after an answer that nobody has looked at": {lifeInterval, []lifeStep{
			{at: 25, heard: 0, want: askForLife, next: 10},
			{at: 30, heard: 25.5, probe: true, next: 3}, // what came before the change proves nothing
			{at: 33, heard: 25.5, want: dead},
		}},
		"turned off": {-1, []lifeStep{
			{at: 0, heard: 0, want: alive},
			{at: 1e6, heard: 0, want: alive},
			{at: 1e6, heard: 0, probe: true, next: 3},
			{at: 1e6 + 3, heard: 1e6 + 1, want: alive},
			{at: 2e6, heard: 0, want: alive},
			{at: 2e6, heard: 0, probe: true, next: 3},
			{at: 2e6 + 3, heard: 0, want: dead},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &liveness{interval: c.interval, timeout: lifeTimeout}
			for _, s := range c.steps {
				if s.probe {
					assert.Equal(t, seconds(s.next)[0], l.probe(moment(s.at), moment(s.heard)))
					continue
				}
				v, next := l.check(moment(s.at), moment(s.heard), s.paused)
				assert.Equal(t, s.want, v, "verdict at %v", s.at)
				assert.Equal(t, seconds(s.next)[0], next, "next check after %v", s.at)
			}
		})
	}
}

func moment(s float64) time.Time {
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(seconds(s)[0])
}

// A loss is free of cost only while the network's change is what asked for life.
func TestLivenessRemembersWhyItAsked(t *testing.T) {
	asked := func() *liveness {
		l := &liveness{interval: lifeInterval, timeout: lifeTimeout}
		l.probe(moment(100), moment(90))
		return l
	}
	dies := func(l *liveness, at, heard float64) {
		t.Helper()
		v, _ := l.check(moment(at), moment(heard), false)
		assert.Equal(t, askForLife, v)
		v, _ = l.check(moment(at+10), moment(heard), false)
		assert.Equal(t, dead, v)
		assert.False(t, l.change, "this silence has nothing to do with it")
	}
	l := asked()
	v, _ := l.check(moment(103), moment(90), false)
	assert.Equal(t, dead, v)
	assert.True(t, l.change)

	l = asked()
	_, _ = l.check(moment(103), moment(101), false) // answered
	dies(l, 130, 101)

	l = asked()
	_, _ = l.check(moment(103), moment(90), true) // the reader is paused
	dies(l, 150, 110)
}

// Changes that follow each other must not put off the verdict for ever.
func TestLivenessOfALinkInANetworkThatFlaps(t *testing.T) {
	l := &liveness{interval: lifeInterval, timeout: lifeTimeout}
	for s := 100.0; s < 200; s += 2 {
		l.probe(moment(s), moment(90))
		if v, _ := l.check(moment(s+1.9), moment(90), false); v == dead {
			return
		}
	}
	t.Error("100 s without a sign of life, and no verdict")
}
