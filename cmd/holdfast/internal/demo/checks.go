package demo

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// check is a promise that was put to the test, and what spoke against it.
type check struct {
	promise string
	faults  []string // none: it held
}

func (c *check) expect(ok bool, format string, args ...any) {
	if !ok {
		c.faults = append(c.faults, fmt.Sprintf(format, args...))
	}
}

// dialWithin is how soon a client dials once the host is back.
const dialWithin = 50 * time.Millisecond

// promises checks all that the run has exercised.
func (t *tally) promises() []check {
	checks := []check{t.atLeastOnce(), t.atMostOnce(), t.exactlyOnce(), t.order(), t.gaps(), t.retries(), t.closing(), t.agreement()}
	if len(t.incidents) > 0 {
		checks = append(checks, t.recovered())
	}
	for _, c := range []struct {
		incident string
		check    func() check
	}{{"blocked", t.fellBack}, {"offline", t.offline}, {"overload", t.retryAfter}, {"freeze", t.halfOpen}} {
		if t.had(c.incident) {
			checks = append(checks, c.check())
		}
	}
	return checks
}

// had says whether an incident happened and was not cut short.
func (t *tally) had(name string) bool {
	for _, in := range t.incidents {
		if in.name == name && in.over {
			return true
		}
	}
	return false
}

func (t *tally) atLeastOnce() check {
	var c check
	for _, b := range t.lanes {
		if b.delivery != holdfast.AtLeastOnce {
			continue
		}
		c.promise = fmt.Sprintf("at least once: all %d messages of the client arrived, %d of them again", b.up.sent, b.up.repeated)
		c.expect(b.up.missing == 0, "%d are missing", b.up.missing)
		c.expect(b.flush == nil && b.told == 0, "Flush told of %d lost messages: %v", b.told, b.flush)
		c.expect(b.stats.Unknown == 0, "Stats.Unknown is %d", b.stats.Unknown)
	}
	return c
}

func (t *tally) atMostOnce() check {
	var c check
	for _, b := range t.lanes {
		if b.delivery != holdfast.AtMostOnce || b.session {
			continue
		}
		c.promise = fmt.Sprintf("at most once: none arrived twice; of %d reported as unknown %d are missing", b.stats.Unknown, b.up.missing)
		c.expect(b.up.repeated == 0, "%d arrived more than once", b.up.repeated)
		c.expect(b.up.missing <= b.stats.Unknown, "%d are missing, Stats.Unknown is %d", b.up.missing, b.stats.Unknown)
		c.expect(b.flush == nil, "the last Flush: %v", b.flush)
		c.expect(b.told == b.stats.Unknown, "Flush told of %d, Stats.Unknown is %d", b.told, b.stats.Unknown)
		var told uint64
		for _, e := range b.events {
			if e.Kind == holdfast.EventDisconnected {
				told += uint64(e.Count)
			}
		}
		c.expect(told == b.stats.Unknown, "events told of %d, Stats.Unknown is %d", told, b.stats.Unknown)
	}
	return c
}

// exactlyOnce holds also from one session to the next, where the server has
// ended the first in good order.
func (t *tally) exactlyOnce() check {
	var c check
	for _, b := range t.lanes {
		if !b.session {
			continue
		}
		c.promise = fmt.Sprintf("exactly once: all %d messages of the client and %d of the server arrived, once and in order, over %d links and %d sessions",
			b.up.sent, b.down.sent, b.stats.Connects+b.count(holdfast.EventUpgraded), b.links)
		for _, way := range []struct {
			to string
			count
		}{{"server", b.up}, {"client", b.down}} {
			c.expect(way.missing == 0 && way.repeated == 0, "%d to the %s are missing, %d arrived more than once", way.missing, way.to, way.repeated)
			c.expect(way.broken == 0 && way.back == 0 && way.ahead == 0, "%d times one to the %s did not follow the one before", way.broken+way.back+way.ahead, way.to)
		}
		c.expect(b.flush == nil && b.told == 0, "Flush told of %d lost messages: %v", b.told, b.flush)
		c.expect(b.stats.Unknown == 0, "Stats.Unknown is %d", b.stats.Unknown)
		c.expect(b.stats.Epoch == b.links && b.count(holdfast.EventGap)+1 == b.links, "there were %d sessions, in %d epochs", b.links, b.stats.Epoch)
	}
	return c
}

func (t *tally) order() check {
	c := check{promise: "in order: over each link the client's messages arrived one after the other"}
	for _, b := range t.lanes {
		c.expect(b.up.broken == 0, "%s: %d times a message did not follow the one before", b.name, b.up.broken)
		c.expect(b.up.foreign == 0 && b.garbled == 0, "%s: %d messages that nobody sent", b.name, b.up.foreign+uint64(b.garbled))
		if b.delivery == holdfast.AtLeastOnce {
			c.expect(b.up.ahead == 0, "%s: %d links began beyond the next message", b.name, b.up.ahead)
		} else {
			c.expect(b.up.back == 0, "%s: %d links began with an old message", b.name, b.up.back)
		}
	}
	return c
}

func (t *tally) gaps() check {
	c := check{promise: "received in order, none twice; gaps only where Message.Epoch grew"}
	for _, b := range t.lanes {
		c.expect(b.down.broken == 0, "%s: %d times a message did not follow the one before, within an epoch", b.name, b.down.broken)
		c.expect(b.down.back == 0 && b.down.repeated == 0, "%s: %d messages came more than once", b.name, b.down.repeated)
		c.expect(b.down.foreign == 0, "%s: %d messages that nobody sent", b.name, b.down.foreign)
		c.expect(b.failure == nil, "%s: %v", b.name, b.failure)
		c.expect(b.tail == 0, "%s: the last %d messages did not come over a link that was up", b.name, b.tail)
	}
	return c
}

// retries follows the events: one attempt or link at a time, and each delay
// within its bound and waited for.
func (t *tally) retries() check {
	c := check{promise: fmt.Sprintf("one dial at a time, none before its delay was over, at most %d in a row", maxRetries+1)}
	for _, b := range t.lanes {
		w := retryWatch{check: &c, lane: b.name}
		for _, e := range b.events {
			w.event(e)
		}
	}
	return c
}

// retryWatch is the state of retries for one lane.
type retryWatch struct {
	*check
	lane     string
	busy     bool // an attempt or a link is there
	up       time.Time
	failures int           // since a stable link was lost
	floor    time.Duration // the Retry-After of the last failure
	due      time.Time     // when the delay is over
}

func (w *retryWatch) event(e holdfast.Event) {
	switch e.Kind {
	case holdfast.EventConnecting:
		w.expect(!w.busy, "%s: a dial while there was another or a link", w.lane)
		w.expect(e.Attempt <= maxRetries+1, "%s: attempt %d", w.lane, e.Attempt)
		w.expect(!e.Time.Before(w.due), "%s: dialled %v before the delay was over", w.lane, w.due.Sub(e.Time))
		w.busy, w.due = true, time.Time{}
	case holdfast.EventConnected:
		w.up, w.floor = e.Time, 0
	case holdfast.EventDisconnected:
		w.busy, w.floor = false, 0
		if e.Time.Sub(w.up) >= stableAfter {
			w.failures = 0
		}
	case holdfast.EventAttemptFailed:
		if e.State == holdfast.StateConnected { // WebSocket was tried beside a fallback
			return
		}
		w.busy, w.floor = false, 0
		var dial *holdfast.DialError
		if errors.As(e.Err, &dial) {
			w.floor = dial.RetryAfter
		}
	case holdfast.EventWaiting:
		bound := max(w.floor, min(maxDelay, initialDelay<<min(w.failures, 10)))
		w.expect(w.floor <= e.Delay && e.Delay <= bound, "%s: a delay of %v after %d failures, which should be from %v to %v",
			w.lane, e.Delay, w.failures+1, w.floor, bound)
		w.failures++
		w.due = e.Time.Add(e.Delay)
	case holdfast.EventOffline, holdfast.EventOnline:
		w.busy, w.due = false, time.Time{}
	}
}

func (t *tally) closing() check {
	c := check{promise: "Close sent 1000, waited for the answer and left nothing unsent"}
	for _, b := range t.lanes {
		c.expect(b.close == nil, "%s: %v", b.name, b.close)
		c.expect(b.closeCode == holdfast.StatusNormalClosure, "%s: the server last got close code %d", b.name, b.closeCode)
		c.expect(!b.closed.Before(b.answeredAt), "%s: Close did not wait for the answer", b.name)
		c.expect(errors.Is(b.err, holdfast.ErrClosed), "%s: Err is %v", b.name, b.err)
		c.expect(b.done, "%s: Done was not closed", b.name)
		n := len(b.events)
		c.expect(n > 0 && b.events[n-1].Kind == holdfast.EventClosed, "%s: closed is not the last event", b.name)
	}
	return c
}

// agreement compares Stats and events with what was seen on the outside.
func (t *tally) agreement() check {
	c := check{promise: "Stats, events and what arrived agree"}
	for _, b := range t.lanes {
		connects, attempts, handshakes := b.count(holdfast.EventConnected), b.count(holdfast.EventConnecting), uint64(b.handshakes)
		epochs := connects
		if b.session { // an attempt makes two at most, and a link over the fallback tries WebSocket
			epochs, handshakes = b.links, (handshakes-min(handshakes, connects))/2
		}
		s := b.stats
		c.expect(s.MessagesReceived == b.down.received+uint64(b.garbled), "%s: MessagesReceived is %d, %d were received", b.name, s.MessagesReceived, b.down.received)
		c.expect(s.MessagesSent >= b.up.received, "%s: MessagesSent is %d, %d arrived", b.name, s.MessagesSent, b.up.received)
		if b.delivery == holdfast.AtMostOnce && !b.session {
			c.expect(s.MessagesSent == b.up.sent, "%s: MessagesSent is %d, %d were accepted", b.name, s.MessagesSent, b.up.sent)
		}
		c.expect(s.Dropped == 0 && s.Queued == 0 && s.Unacknowledged == 0 && s.ReceiveQueued == 0,
			"%s: in the end dropped %d, queued %d, unacknowledged %d, to be received %d", b.name, s.Dropped, s.Queued, s.Unacknowledged, s.ReceiveQueued)
		c.expect(s.Connects == connects && s.Epoch == epochs, "%s: Connects is %d, Epoch %d, events told of %d", b.name, s.Connects, s.Epoch, connects)
		c.expect(s.Attempts == attempts, "%s: Attempts is %d, events told of %d", b.name, s.Attempts, attempts)
		c.expect(handshakes <= attempts, "%s: %d handshakes reached the server in %d attempts", b.name, b.handshakes, attempts)
	}
	return c
}

func (t *tally) recovered() check {
	c := check{promise: "connected again after every fault"}
	for _, in := range t.incidents {
		for i, b := range t.lanes {
			_, ok := in.recovery(i)
			c.expect(ok, "%s: not after %s", b.name, in.name)
		}
	}
	return c
}

const (
	fallBackWithin = initialDelay + 100*time.Millisecond // of WebSocket's end: the delay before a dial, and the dial
	climbWithin    = 6200 * time.Millisecond             // of when it gets through: 100 ms of quiet, 5 s and 20 %, and a probe
)

// fellBack follows the client that can fall back.
func (t *tally) fellBack() check {
	var c check
	for _, b := range t.lanes {
		if !b.session {
			continue
		}
		c.promise = fmt.Sprintf("blocked: long polling went on where WebSocket was refused, WebSocket once it could (fell back: %d, climbed back: %d)", b.fell, b.climbed)
		known := false
		for _, in := range t.incidents {
			if in.name != "blocked" || !in.over {
				continue
			}
			fell, climbed := b.first(holdfast.EventFellBack, in.at), b.first(holdfast.EventUpgraded, in.at)
			var dial *holdfast.DialError
			if in.from == websocket {
				c.expect(fell.Resumed && fell.Time.Sub(in.at) <= fallBackWithin+t.lag, "did not fall back within %s", seconds(fallBackWithin))
				c.expect(known || errors.As(fell.Err, &dial) && dial.Class == holdfast.ClassBlocked, "did not say why it fell back")
			}
			known = true
			c.expect(climbed.Resumed && !climbed.Time.Before(in.lifted) && climbed.Time.Sub(in.lifted) <= climbWithin+t.lag,
				"did not climb back within %s", seconds(climbWithin))
		}
		for _, e := range b.events {
			c.expect(e.Kind != holdfast.EventFellBack || remembered(e) || t.refusing(e.Time), "fell back where nothing had refused WebSocket: %v", e.Err)
		}
	}
	return c
}

// refusing says that a handshake may just have been refused while a poll got
// through: in a blockade, and at the moment at which a server is there again.
func (t *tally) refusing(at time.Time) bool {
	return slices.ContainsFunc(t.incidents, func(in incident) bool {
		return slices.Contains([]string{"blocked", "restart", "overload"}, in.name) &&
			!at.Before(in.at) && at.Sub(in.possible) <= fallBackWithin+t.lag
	})
}

func (t *tally) offline() check {
	c := check{promise: "offline: not one dial while there was no network, and one at once when it was back"}
	for _, in := range t.incidents {
		if in.name != "offline" || !in.over {
			continue
		}
		for i, b := range t.lanes {
			c.expect(in.dials[i] == 0, "%s: %d handshakes reached the server meanwhile", b.name, in.dials[i])
			noticed := b.first(holdfast.EventOffline, in.at).Time
			c.expect(!noticed.IsZero() && noticed.Before(in.possible), "%s: did not notice", b.name)
			dialled := b.first(holdfast.EventConnecting, in.at).Time.Sub(in.possible)
			c.expect(dialled >= 0 && dialled <= dialWithin+t.lag, "%s: dialled after %v, not within %v (timers here are up to %v late)", b.name, dialled, dialWithin, t.lag)
		}
	}
	return c
}

func (t *tally) retryAfter() check {
	c := check{promise: fmt.Sprintf("overload: stayed away for the %s that Retry-After asked for", seconds(retryAfter))}
	for _, b := range t.lanes {
		c.expect(len(b.refusals) > 0, "%s: came not back", b.name)
		for _, r := range b.refusals {
			c.expect(r.stayed >= r.asked, "%s: came back after %v", b.name, r.stayed)
		}
	}
	return c
}

func (t *tally) halfOpen() check {
	c := check{promise: fmt.Sprintf("freeze: a link on which nothing gets through was found within %s", seconds(foundWithin))}
	for _, in := range t.incidents {
		if in.name != "freeze" || !in.over {
			continue
		}
		for _, b := range t.lanes {
			found := b.first(holdfast.EventDisconnected, in.at)
			took := found.Time.Sub(in.at)
			c.expect(took >= 0 && took <= foundWithin+dialWithin+t.lag, "%s: after %v (timers here are up to %v late)", b.name, took, t.lag)
			c.expect(errors.Is(found.Err, holdfast.ErrNoPong), "%s: for another reason: %v", b.name, found.Err)
		}
	}
	return c
}
