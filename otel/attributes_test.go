package holdfastotel

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast"
)

func TestErrorTypes(t *testing.T) {
	for want, err := range map[string]error{
		"server_down":  fmt.Errorf("x: %w", &holdfast.DialError{Class: holdfast.ClassServerDown, Err: context.DeadlineExceeded}),
		"1006":         &holdfast.CloseError{Code: holdfast.StatusAbnormalClosure},
		"no_pong":      &holdfast.CloseError{Code: holdfast.StatusAbnormalClosure, Err: holdfast.ErrNoPong},
		"1001":         &holdfast.CloseError{Code: 1001, Remote: true},
		"3xxx":         &holdfast.CloseError{Code: 3003, Remote: true},
		"4xxx":         &holdfast.CloseError{Code: 4711, Remote: true},
		"session_lost": holdfast.ErrSessionLost,
		"closed":       holdfast.ErrClosed,
		"timeout":      context.DeadlineExceeded,
		"_OTHER":       errors.New("another"),
	} {
		assert.Equal(t, want, errorType(err))
	}
	assert.Equal(t, "_OTHER", errorType(&holdfast.CloseError{Code: 2222}))
	assert.Equal(t, "_OTHER", errorType(nil))
}

func TestTargets(t *testing.T) {
	for endpoint, want := range map[string]target{
		"wss://API.example.com/a?b=redacted": {role: client, scheme: "wss", address: "api.example.com", port: 443},
		"ws://[::1]:8080/":                   {role: client, scheme: "ws", address: "::1", port: 8080},
		"https://h.test":                     {role: client, scheme: "https", address: "h.test", port: 443},
		"":                                   {role: client},
		"redacted":                           {role: client},
	} {
		assert.Equal(t, want, targetOf(client, endpoint), endpoint)
	}
	assert.Equal(t, target{role: server, scheme: "ws"}, targetOf(server, "ws://whatever.the.client.says:1/"))
}

func TestEndpointsAreBounded(t *testing.T) {
	w := &watcher{series: map[target]*series{}}
	for i := range maxSeries {
		w.seriesOf(targetOf(client, fmt.Sprintf("ws://host%d.test/", i)))
	}
	over := w.seriesOf(targetOf(client, "ws://one.too.many/"))
	assert.Same(t, over, w.seriesOf(targetOf(client, "ws://another.one/")))
	assert.NotSame(t, over, w.seriesOf(targetOf(client, "ws://host1.test/")))
	assert.True(t, over.set.HasValue(keyOverflow))
	assert.Len(t, w.series, maxSeries+1)
}
