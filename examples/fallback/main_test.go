package main

import (
	"bytes"
	"context"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// output runs the program for as long as it waits for the way back.
func output(t *testing.T, wait time.Duration) string {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	require.NoError(t, run(ctx, log.New(&out, "", 0), wait))
	return out.String()
}

// requireInOrder requires lines that begin so, with others between them.
func requireInOrder(t *testing.T, out string, want ...string) {
	t.Helper()
	rest := out
	for _, w := range want {
		_, after, found := strings.Cut(rest, "\n"+w)
		require.True(t, found, "%q comes at its place in:\n%s", w, out)
		rest = after
	}
}

func TestRunFallsBack(t *testing.T) {
	t.Parallel()
	out := output(t, 0)
	requireInOrder(t, "\n"+out, "--- WebSocket is blocked", "longpoll   message 1", "longpoll   message 2")
	requireInOrder(t, "\n"+out, "--- WebSocket is blocked", "longpoll   (fell back: ") // events keep their own order
	assert.Contains(t, out, "403 Forbidden")
	assert.Contains(t, out, "longpoll   message 1\n")
	assert.Contains(t, out, "(closed: holdfast: connection closed)\n")
	assert.NotContains(t, out, "websocket  message")
}

// TestRunClimbsBack takes the 4 to 6 s that the example takes.
func TestRunClimbsBack(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for the first look at WebSocket, 4 to 6 s")
	}
	out := output(t, time.Minute)
	requireInOrder(t, "\n"+out, "longpoll   (fell back: ", "websocket  (upgraded)")
	requireInOrder(t, "\n"+out,
		"longpoll   message 2",
		"longpoll   message 3",
		"websocket  (upgraded)",
		"websocket  message ",
	)
	assert.NotContains(t, out, "gap")
	assert.NotContains(t, out, "long enough")
}
