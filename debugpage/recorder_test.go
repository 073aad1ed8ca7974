package debugpage

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
)

// check checks the recorder's accounts.
func (c *recorder) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	events, quiet := 0, 0
	count := func(r *record) {
		events += r.events.Len()
		if r.quiet != nil {
			quiet++
		}
		assert.Equal(t, r.events.Len() > 0, r.quiet != nil)
		assert.LessOrEqual(t, r.events.Len(), maxEvents)
		assert.LessOrEqual(t, len(r.rtts), maxRTTs)
	}
	for _, r := range c.records {
		count(r)
	}
	for _, r := range c.ended {
		count(r)
	}
	assert.Equal(t, events, c.events)
	assert.Equal(t, quiet, c.quiet.Len())
	assert.LessOrEqual(t, c.events, maxAllEvents)
	assert.LessOrEqual(t, len(c.records), maxRecords)
	assert.LessOrEqual(t, len(c.ended), maxEnded)
}

func member(id uint64) *registry.Member { return &registry.Member{ID: id, Since: time.Now()} }

func event(kind holdfast.EventKind, state holdfast.State) holdfast.Event {
	return holdfast.Event{Time: time.Now(), Kind: kind, State: state, Transport: "websocket"}
}

func TestLifeIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		defer rec.start()()
		c := newCrowd(t, echo)
		h := newHandler(nil, rec)
		conn := c.join(t, 1, upHost, nil)[0]
		time.Sleep(time.Second)
		c.net.Reset()
		time.Sleep(time.Second)
		r := h.list(t, "")
		require.Len(t, r.Members, 2)
		assert.Equal(t, []string{"conn", "session"}, []string{r.Members[0].Kind, r.Members[1].Kind})
		assert.NotEmpty(t, r.Members[0].RTTs)
		assert.InDelta(t, 4, r.Members[0].RTT, 1)
		assert.EqualValues(t, 2, r.Members[0].Connects)
		assert.Contains(t, r.Members[0].LastError, "1006")
		assert.Empty(t, r.Members[0].Events, "they are in the Member alone")

		ids := []uint64{r.Members[0].ID, r.Members[1].ID}
		require.NoError(t, conn.Close())
		<-conn.Done()
		time.Sleep(time.Second)
		synctest.Wait()
		r = h.list(t, "")
		assert.Empty(t, r.Members)
		require.Len(t, r.Ended, 2)
		for _, m := range r.Ended {
			assert.Equal(t, "closed", m.State)
			assert.Equal(t, "websocket", m.Transport, "the last one")
		}
		r = h.list(t, fmt.Sprintf("id=%d", ids[0]))
		require.Len(t, r.Members, 1)
		assert.Equal(t, []string{"connecting", "connected", "disconnected", "waiting", "connecting", "connected", "closed"}, kindsOf(r.Members[0].Events))
		assert.Equal(t, "closed by this side", r.Members[0].Why)
		assert.False(t, r.Members[0].EndedAt.IsZero())
		r = h.list(t, fmt.Sprintf("id=%d", ids[1]))
		assert.Equal(t, []string{"connected", "disconnected", "connected", "closed"}, kindsOf(r.Members[0].Events))
		assert.Contains(t, r.Members[0].Why, "1000")
		rec.check(t)
	})
}

func kindsOf(events []Event) (kinds []string) {
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// What there was before the recording is shown with its state.
func TestRecordingBeginsWithThePresentStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, echo)
		c.join(t, 1, upHost, nil)
		time.Sleep(time.Minute)
		rec := newRecorder()
		stop := rec.start()
		h := newHandler(nil, rec)
		time.Sleep(time.Minute)
		now := time.Now()
		for _, m := range registry.Members() {
			d, ok := h.find(m.ID)
			require.True(t, ok)
			bands := d.bands(d.since, now)
			require.Len(t, bands, 2)
			assert.Equal(t, []string{unrecorded, ""}, []string{bands[0].state, bands[0].carrier})
			assert.Equal(t, time.Minute, bands[0].to.Sub(bands[0].from).Round(time.Second))
			assert.Equal(t, []string{"connected", "websocket"}, []string{bands[1].state, bands[1].carrier})
			assert.Equal(t, time.Minute, bands[1].to.Sub(bands[1].from).Round(time.Second))
		}
		stop()
		c.net.Reset()
		time.Sleep(time.Second)
		assert.Zero(t, rec.events, "it has stopped")
	})
}

func TestLastEventsAreKept(t *testing.T) {
	rec := newRecorder()
	m := member(1)
	rec.Event(m, event(holdfast.EventConnected, holdfast.StateConnected))
	for i := range maxEvents + 4 {
		e := event(holdfast.EventGap, holdfast.StateConnected)
		e.Count = i
		rec.Event(m, e)
	}
	h, _, ok := rec.recall(1)
	require.True(t, ok)
	assert.Len(t, h.events, maxEvents)
	assert.EqualValues(t, 5, h.forgotten)
	assert.Equal(t, 4, h.events[0].count)
	assert.Equal(t, holdfast.StateConnected, h.state, "what the forgotten ones have led to is remembered")
	assert.Equal(t, "websocket", h.carrier)
	for i := range maxRTTs + 3 {
		rec.RTT(m, time.Duration(i)*time.Millisecond)
	}
	h, _, _ = rec.recall(1)
	assert.Len(t, h.rtts, maxRTTs)
	assert.EqualValues(t, 3, h.rtts[0])
	assert.EqualValues(t, maxRTTs+2, h.rtts[maxRTTs-1])
	rec.check(t)
	rec.Removed(m)
	assert.Zero(t, rec.events)
	assert.Empty(t, rec.records)
	rec.check(t)
}

// Beyond the bound of all events those are forgotten of whoever is quiet.
func TestQuietOnesAreForgottenFirst(t *testing.T) {
	rec := newRecorder()
	const others = maxAllEvents / 100
	speak := func(id uint64, times int) {
		for range times {
			rec.Event(member(id), event(holdfast.EventGap, holdfast.StateConnected))
		}
	}
	known := func(id uint64) int {
		h, _, _ := rec.recall(id)
		assert.EqualValues(t, 100, len(h.events)+int(h.forgotten))
		return len(h.events)
	}
	for id := range uint64(others) {
		speak(id+1, 100)
	}
	assert.Equal(t, maxAllEvents, rec.events)
	assert.Equal(t, 100, known(1))
	speak(1000, 40)
	assert.Equal(t, 60, known(1), "it was quiet for longest")
	speak(1000, 60)
	assert.Zero(t, known(1))
	assert.Equal(t, 100, known(2))
	speak(1001, 100)
	assert.Zero(t, known(2))
	assert.Equal(t, 100, known(3))
	rec.check(t)
	speak(1, 1)
	h, _, _ := rec.recall(1)
	assert.Len(t, h.events, 1, "it may speak again")
	rec.check(t)
	for id := range uint64(2000) {
		rec.Removed(member(id))
	}
	rec.check(t)
	assert.Zero(t, rec.events)
}

func TestMembersAreBounded(t *testing.T) {
	rec := newRecorder()
	for i := range maxRecords + 10 {
		rec.RTT(member(uint64(i+1)), time.Second)
		rec.Event(member(uint64(i+1)), event(holdfast.EventGap, holdfast.StateConnected))
	}
	rec.check(t)
	_, _, ok := rec.recall(maxRecords + 1)
	assert.False(t, ok)
	rec.Removed(member(maxRecords + 1))
	rec.Removed(member(7))
	rec.RTT(member(maxRecords+2), time.Second)
	_, _, ok = rec.recall(maxRecords + 2)
	assert.True(t, ok, "there is room again")
}

// The most that can be recorded, in memory.
func TestMemoryIsBounded(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	rec := newRecorder()
	for i := range maxRecords {
		m := member(uint64(i + 1))
		for range maxRTTs {
			rec.RTT(m, time.Second)
		}
		e := event(holdfast.EventAttemptFailed, holdfast.StateWaiting)
		e.Err = errors.New(strings.Repeat("x", 400) + fmt.Sprint(i))
		e.Endpoint = "ws://" + strings.Repeat("x", i%10) + fmt.Sprint(i)
		rec.Event(m, e)
	}
	rec.check(t)
	used := heap() - before
	t.Logf("%.1f MiB", float64(used)/(1<<20))
	assert.Less(t, used, int64(64<<20))
	runtime.KeepAlive(rec)
}

func TestFiftyEndedAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		defer rec.start()()
		c := newCrowd(t, echo)
		conns := c.join(t, 40, upHost, nil)
		time.Sleep(time.Second)
		for _, conn := range conns {
			require.NoError(t, conn.Close())
			<-conn.Done()
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		h := newHandler(nil, rec)
		r := h.list(t, "")
		assert.Len(t, r.Ended, 50)
		assert.True(t, r.Ended[0].EndedAt.After(r.Ended[49].EndedAt))
		assert.Empty(t, rec.records)
		rec.check(t)
		for _, e := range rec.ended {
			assert.NoError(t, e.last.stats.LastError, "no error is held that holds on to more")
		}
	})
}

// A round trip that is told after the end leaves nothing behind.
func TestLateRoundTripIsSwept(t *testing.T) {
	rec := newRecorder()
	old, young := member(3), member(9)
	rec.RTT(old, time.Second)
	rec.RTT(young, time.Second)
	rec.Event(member(4), event(holdfast.EventConnecting, holdfast.StateConnecting))
	rec.sweep([]entry{{id: 5}})
	assert.NotContains(t, rec.records, old.ID)
	assert.Contains(t, rec.records, young.ID, "it may be too young for the list")
	assert.Contains(t, rec.records, uint64(4), "its end is still to come")
}

func TestFailedDialIsRememberedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		defer rec.start()()
		c := newCrowd(t, echo)
		conn := c.join(t, 1, downHost, func(_ int, o *holdfast.Options) { o.Retry.MaxRetries = holdfast.NoRetry })[0]
		<-conn.Done()
		r := newHandler(nil, rec).list(t, "")
		require.Len(t, r.Ended, 1)
		assert.Contains(t, r.Ended[0].Why, "refused")
		assert.NotContains(t, r.Ended[0].Why, "s3cret")
	})
}
