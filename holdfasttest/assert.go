package holdfasttest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// AssertKinds says which kinds of events there were, all of them in this order;
// [Ellipsis] stands for any number of any. A failure marks the first event that
// cannot be part of it. It reports whether that was so.
func (r *Recorder) AssertKinds(pattern ...holdfast.EventKind) bool {
	r.t.Helper()
	for i, kind := range pattern {
		if kind != Ellipsis && !known(kind) {
			r.t.Errorf("AssertKinds: argument %d: %v: %v", i+1, kind, errUnknownKind)
			return false
		}
	}
	if !r.complete("AssertKinds") {
		return false
	}
	kinds := []holdfast.EventKind{}
	for _, e := range r.Events() {
		kinds = append(kinds, e.Kind)
	}
	row, wanted := match(pattern, kinds)
	if row < 0 {
		return true
	}
	r.fail(r.t.Errorf, row, wanted+" was expected here", "the events are not %s", list(pattern))
	return false
}

// match returns the first kind that does not fit, and what would have; -1 when
// all do. len(kinds) means that more had to come. It follows every way through
// the pattern at the same time.
func match(pattern, kinds []holdfast.EventKind) (at int, wanted string) {
	// here[i] says that pattern[:i] fits what has been.
	step := func(here []bool) []bool {
		for i, kind := range pattern { // an ellipsis may stand for nothing
			if here[i] && kind == Ellipsis {
				here[i+1] = true
			}
		}
		return here
	}
	here := make([]bool, len(pattern)+1)
	here[0] = true
	step(here)
	for at, kind := range kinds {
		there := make([]bool, len(pattern)+1)
		for i, want := range pattern {
			switch {
			case !here[i]:
			case want == Ellipsis:
				there[i] = true
			case want == kind:
				there[i+1] = true
			}
		}
		if !slices.Contains(there, true) {
			return at, expected(pattern, here)
		}
		here = step(there)
	}
	if here[len(pattern)] {
		return -1, ""
	}
	return len(kinds), expected(pattern, here)
}

// expected names what could have come next where most of the pattern fits.
func expected(pattern []holdfast.EventKind, here []bool) string {
	for i := len(pattern); i >= 0; i-- {
		switch {
		case !here[i]:
		case i == len(pattern):
			return "the end"
		case pattern[i] != Ellipsis:
			return pattern[i].String()
		}
	}
	return ""
}

func list(pattern []holdfast.EventKind) string {
	names := make([]string, len(pattern))
	for i, kind := range pattern {
		names[i] = name(kind)
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// AssertCount says how many events of a kind there were.
func (r *Recorder) AssertCount(kind holdfast.EventKind, want int) bool {
	r.t.Helper()
	if !known(kind) {
		r.t.Errorf("AssertCount: %v: %v", kind, errUnknownKind)
		return false
	}
	if !r.complete("AssertCount") {
		return false
	}
	return r.count(kind, want, fmt.Sprintf("events %q", name(kind)))
}

// AssertRetries says how many retries the Conn has waited for: the number of its
// events of kind EventWaiting. An attempt at once, because the network came back
// say, is no retry.
func (r *Recorder) AssertRetries(want int) bool {
	r.t.Helper()
	return r.complete("AssertRetries") && r.count(holdfast.EventWaiting, want, "retries")
}

func (r *Recorder) count(kind holdfast.EventKind, want int, what string) bool {
	r.t.Helper()
	got, over := 0, -1
	for i, e := range r.Events() {
		if e.Kind != kind {
			continue
		}
		if got++; got == want+1 {
			over = i
		}
	}
	if got == want {
		return true
	}
	r.fail(r.t.Errorf, over, "one too many", "%d %s, not %d", got, what, want)
	return false
}

// AssertDelays says that every wait before a retry was as long as least to most,
// both included, and that there was one at all. The defaults are random: the
// n-th retry in a row, from 0, waits between 0 and 2ⁿ s, at most 30 s.
func (r *Recorder) AssertDelays(least, most time.Duration) bool {
	r.t.Helper()
	if least > most {
		r.t.Errorf("AssertDelays: %v is more than %v", least, most)
		return false
	}
	if !r.complete("AssertDelays") {
		return false
	}
	waits := 0
	for i, e := range r.Events() {
		if e.Kind != holdfast.EventWaiting {
			continue
		}
		waits++
		if e.Delay < least || e.Delay > most {
			r.fail(r.t.Errorf, i, fmt.Sprintf("%v to %v was expected here", least, most), "a delay of %v", e.Delay)
			return false
		}
	}
	if waits == 0 {
		r.fail(r.t.Errorf, -1, "", "no delay of %v to %v, as there was no retry", least, most)
		return false
	}
	return true
}

// complete says that no event has given way, without which nothing can be said of
// all.
func (r *Recorder) complete(assertion string) bool {
	r.t.Helper()
	r.mu.Lock()
	lost := r.lost
	r.mu.Unlock()
	if lost == 0 {
		return true
	}
	r.t.Errorf("%s: there were more than %d events, and the first %d are gone: call Reset in between", assertion, maxRecorded, lost)
	return false
}
