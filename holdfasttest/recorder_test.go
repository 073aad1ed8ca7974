package holdfasttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// judged is a test that keeps what is said of it.
type judged struct {
	said  []string
	fatal bool
}

func (j *judged) Helper() {}

func (j *judged) Errorf(format string, args ...any) {
	j.said = append(j.said, fmt.Sprintf(format, args...))
}

func (j *judged) Fatalf(format string, args ...any) {
	j.Errorf(format, args...)
	j.fatal = true
}

// story is a connection's life, as a Recorder hears of it.
func story(t *testing.T) (*judged, *Recorder) {
	t.Helper()
	j := &judged{}
	r := NewRecorder(j)
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, e := range []holdfast.Event{
		{Kind: holdfast.EventConnecting, State: holdfast.StateConnecting, Attempt: 1},
		{Time: start.Add(20 * time.Millisecond), Kind: holdfast.EventAttemptFailed, State: holdfast.StateConnecting, Attempt: 1, Err: errors.New("holdfast: dial ws://prices.example/: server down:\nconnection refused")},
		{Time: start.Add(20 * time.Millisecond), Kind: holdfast.EventWaiting, State: holdfast.StateWaiting, Attempt: 1, Delay: 734123456},
		{Time: start.Add(754 * time.Millisecond), Kind: holdfast.EventConnecting, State: holdfast.StateConnecting, Attempt: 2},
		{Time: start.Add(755 * time.Millisecond), Kind: holdfast.EventConnected, State: holdfast.StateConnected, Attempt: 2, Epoch: 1},
		{Time: start.Add(65 * time.Second), Kind: holdfast.EventDisconnected, State: holdfast.StateWaiting, Epoch: 1, Count: 3, Err: errors.New(strings.Repeat("é", 200))},
		{Time: start.Add(65 * time.Second), Kind: holdfast.EventWaiting, State: holdfast.StateWaiting, Delay: 12 * time.Second},
		{Time: start.Add(77 * time.Second), Kind: holdfast.EventConnecting, State: holdfast.StateConnecting, Attempt: 1},
		{Time: start.Add(77 * time.Second), Kind: holdfast.EventConnected, State: holdfast.StateConnected, Attempt: 1, Epoch: 1, Resumed: true},
	} {
		if e.Time.IsZero() {
			e.Time = start
		}
		e.Transport = "websocket"
		r.OnEvent(e)
	}
	return j, r
}

// golden compares text with a file of testdata; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got)
}

func TestRecorderFailures(t *testing.T) {
	const (
		connecting, connected, failed = holdfast.EventConnecting, holdfast.EventConnected, holdfast.EventAttemptFailed
		disconnected, waiting, closed = holdfast.EventDisconnected, holdfast.EventWaiting, holdfast.EventClosed
	)
	for name, f := range map[string]func(*Recorder) bool{
		"kinds": func(r *Recorder) bool {
			return r.AssertKinds(connecting, failed, waiting, connecting, failed, waiting)
		},
		"kinds_behind_an_ellipsis": func(r *Recorder) bool {
			return r.AssertKinds(connecting, Ellipsis, disconnected, Ellipsis, connected, closed)
		},
		"kinds_too_few":  func(r *Recorder) bool { return r.AssertKinds(connecting, failed) },
		"kinds_of_none":  func(r *Recorder) bool { return r.AssertKinds() },
		"kinds_two_ways": func(r *Recorder) bool { return r.AssertKinds(Ellipsis, connected, disconnected, closed) },
		"count":          func(r *Recorder) bool { return r.AssertCount(connected, 1) },
		"count_too_few":  func(r *Recorder) bool { return r.AssertCount(closed, 1) },
		"retries":        func(r *Recorder) bool { return r.AssertRetries(5) },
		"delays":         func(r *Recorder) bool { return r.AssertDelays(0, 2*time.Second) },
		"delays_of_none": func(r *Recorder) bool { r.Reset(); return r.AssertDelays(0, time.Second) },
		"kinds_unknown":  func(r *Recorder) bool { return r.AssertKinds(connecting, 99) },
		"count_unknown":  func(r *Recorder) bool { return r.AssertCount(Ellipsis, 99) },
		"delays_crossed": func(r *Recorder) bool { return r.AssertDelays(2, 1) },
		"wait_unknown":   func(r *Recorder) bool { r.Wait(time.Hour, 99); return false },
		"wait_closed": func(r *Recorder) bool {
			r.OnEvent(holdfast.Event{Time: r.start.Add(80 * time.Second), Kind: closed, State: holdfast.StateClosed, Err: holdfast.ErrClosed})
			r.Wait(time.Hour, holdfast.EventOffline)
			return false
		},
		"wait": func(r *Recorder) bool { r.Wait(time.Millisecond, holdfast.EventOffline); return false },
		"wait_context": func(r *Recorder) bool {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			r.WaitContext(ctx, holdfast.EventOffline)
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			j, r := story(t)
			assert.False(t, f(r))
			require.Len(t, j.said, 1)
			assert.Equal(t, strings.HasPrefix(name, "wait"), j.fatal)
			golden(t, name, j.said[0])
		})
	}
}

func TestRecorderAgrees(t *testing.T) {
	j, r := story(t)
	assert.True(t, r.AssertKinds(Ellipsis))
	assert.True(t, r.AssertKinds(Ellipsis, holdfast.EventConnected))
	assert.True(t, r.AssertKinds(holdfast.EventConnecting, Ellipsis, Ellipsis, holdfast.EventDisconnected, holdfast.EventWaiting, Ellipsis, holdfast.EventConnected))
	assert.True(t, r.AssertKinds(holdfast.EventConnecting, holdfast.EventAttemptFailed, holdfast.EventWaiting, Ellipsis, holdfast.EventConnecting,
		holdfast.EventConnected, holdfast.EventDisconnected, holdfast.EventWaiting, holdfast.EventConnecting, holdfast.EventConnected, Ellipsis))
	assert.True(t, r.AssertCount(holdfast.EventConnected, 2))
	assert.True(t, r.AssertCount(holdfast.EventGap, 0))
	assert.True(t, r.AssertRetries(2))
	assert.True(t, r.AssertDelays(734123456, 12*time.Second))
	assert.EqualValues(t, 2, r.Wait(0, holdfast.EventConnected).Attempt)
	assert.True(t, r.Wait(0, holdfast.EventConnected).Resumed)
	assert.Len(t, r.Of(holdfast.EventWaiting), 2)
	assert.Len(t, r.Events(), 9)
	golden(t, "timeline", r.String())
	r.Reset()
	assert.True(t, r.AssertKinds())
	assert.Equal(t, "  no events\n", r.String())
	assert.Empty(t, j.said)
}

func TestRecorderIsBounded(t *testing.T) {
	j, r := story(t)
	r.Reset()
	for i := range maxRecorded + 3 {
		r.OnEvent(holdfast.Event{Time: r.start.Add(time.Duration(i) * time.Second), Kind: holdfast.EventNetworkChanged, State: holdfast.StateConnected})
	}
	assert.Len(t, r.Events(), maxRecorded)
	golden(t, "timeline_of_many", r.String())
	assert.False(t, r.AssertKinds(Ellipsis))
	assert.False(t, r.AssertRetries(0))
	assert.False(t, r.AssertDelays(0, 1))
	assert.False(t, r.AssertCount(holdfast.EventGap, 0))
	assert.Equal(t, "AssertKinds: there were more than 4096 events, and the first 3 are gone: call Reset in between", j.said[0])
	assert.Len(t, j.said, 4)
	r.Reset()
	assert.True(t, r.AssertKinds())
}

func TestRecorderWaitsInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder(t)
		go func() {
			for range 3 {
				time.Sleep(time.Hour)
				r.OnEvent(holdfast.Event{Time: time.Now(), Kind: holdfast.EventGap})
			}
		}()
		start := time.Now()
		for i := range 3 {
			r.Wait(time.Hour+1, holdfast.EventGap)
			assert.Equal(t, time.Duration(i+1)*time.Hour, time.Since(start))
		}
	})
}

func TestRecorderIsSafeForConcurrentUse(t *testing.T) {
	r := NewRecorder(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				r.OnEvent(holdfast.Event{Kind: holdfast.EventGap})
				_, _ = r.Events(), r.String()
			}
		})
	}
	for range 100 {
		r.Wait(time.Minute, holdfast.EventGap)
	}
	wg.Wait()
	r.AssertCount(holdfast.EventGap, 200)
}
