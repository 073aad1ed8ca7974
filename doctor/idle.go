package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/internal/redact"
)

// rungs are for how long links are left silent, in tenths of Options.Idle: a link
// that something on the way has forgotten without a word shows it only when it is
// asked, and then it is silent no more.
var rungs = []int{1, 2, 4, 6, 8, 10}

// defaultKeepalive is Keepalive.Interval.
const defaultKeepalive = 25 * time.Second

// How an IdleLink ended.
const (
	alive     = "alive"
	closed    = "closed"
	dead      = "dead"
	calledOff = "called off"
)

// checkIdle holds links without a ping.
func (x *exam) checkIdle(s *Step) {
	switch {
	case x.opts.Idle == 0:
		s.skip("not asked for")
		return
	case inBrowser:
		s.skip(notInBrowser)
		return
	case x.polling():
		s.skip("polls are never idle for longer than their hang, 20 s")
		return
	case x.socket == nil || x.lost != nil:
		s.skip("not reached")
		return
	}
	f := &IdleFacts{Links: make([]IdleLink, len(rungs))}
	s.Facts = f
	var all sync.WaitGroup
	for i, tenths := range rungs {
		all.Go(func() { x.idle(&f.Links[i], x.opts.Idle*time.Duration(tenths)/10) })
	}
	all.Wait()
	x.describeIdle(s, f)
}

// idle holds one link. It is a plain one, without the session, as that would end
// without being attached.
func (x *exam) idle(l *IdleLink, planned time.Duration) {
	l.PlannedMS = millis(planned)
	a := x.connect(nil, nil, false)
	defer a.give()
	<-a.done // it ends with ctx
	if err := a.failure(); err != nil {
		l.End, l.Error = calledOff, x.brief(err.Err)
		return
	}
	link := newSocket(a)
	defer link.end()
	start := time.Now()
	due := time.NewTimer(planned)
	defer due.Stop()
	select {
	case <-link.ended:
		l.End, l.Error = closed, x.brief(redact.Error(link.err))
	case <-due.C:
		l.End = alive
	case <-x.ctx.Done():
		l.End = calledOff
	}
	m := a.now()
	m.sign() // now, whatever happened
	if l.End == closed {
		// Its last words, a close frame say, broke the silence that they ended.
		m.silence = max(m.silence, a.now().silence)
	}
	l.LastedMS, l.SilenceMS = millis(time.Since(start)), millis(m.silence)
	if l.End != alive {
		return
	}
	if _, err := link.ping(x.ctx, x.opts.Timeout); err != nil {
		l.End, l.Error = dead, x.brief(redact.Error(err))
		if errors.Is(err, context.Canceled) {
			l.End = calledOff
		}
	}
}

func (x *exam) describeIdle(s *Step, f *IdleFacts) {
	least := 0.0 // the shortest silence that ended a link
	for _, l := range f.Links {
		text := fmt.Sprintf("%s: %s", inMillis(l.PlannedMS), l.End)
		switch l.End {
		case alive:
			f.SurvivedMS = max(f.SurvivedMS, l.SilenceMS)
			f.ServerPings = f.ServerPings || l.SilenceMS < l.PlannedMS*0.9
		case closed:
			text += fmt.Sprintf(" after %s (%s)", inMillis(l.LastedMS), l.Error)
		case dead:
			text += ": the ping after it was not answered"
		case calledOff:
			text = strings.TrimSuffix(text+": "+l.Error, ": ")
		}
		if (l.End == closed || l.End == dead) && (least == 0 || l.SilenceMS < least) {
			least = l.SilenceMS
		}
		s.detail("%s", text)
	}
	if least == 0 && f.SurvivedMS > 0 && !slices.ContainsFunc(f.Links, func(l IdleLink) bool { return l.End != alive }) {
		s.Details = nil // the summary says it
	}
	switch {
	case x.ctx.Err() != nil && least == 0:
		s.skip("called off")
	case least > 0:
		s.warn()
		x.warnings["idle"] = true
		f.KeepaliveMS = least / 2
		if f.SurvivedMS > 0 {
			f.KeepaliveMS = min(f.SurvivedMS, max(least/2, min(f.SurvivedMS, millis(defaultKeepalive))))
		}
		s.Summary = "links end after a silence of " + inMillis(least)
		if f.SurvivedMS > 0 {
			s.Summary += "; the longest that one outlived is " + inMillis(f.SurvivedMS)
		}
	case f.SurvivedMS == 0:
		s.fail("no link could be held")
	case f.ServerPings:
		s.Summary = fmt.Sprintf("links live; the server itself speaks, so that none was silent for longer than %s", inMillis(f.SurvivedMS))
	default:
		s.Summary = "links live through a silence of " + inMillis(f.SurvivedMS)
	}
}

// keepaliveAdvice says what follows for Keepalive.Interval.
func keepaliveAdvice(f *IdleFacts) string {
	interval := time.Duration(f.KeepaliveMS * float64(time.Millisecond))
	if interval >= defaultKeepalive {
		return fmt.Sprintf("something on the way ends silent links: keep Keepalive.Interval at %s or less; its default, %v, will do", inWords(interval), defaultKeepalive)
	}
	return fmt.Sprintf("something on the way ends silent links sooner than most: set Keepalive.Interval to %s or less, at both ends; its default is %v", inWords(interval), defaultKeepalive)
}
