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

func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out bytes.Buffer
	require.NoError(t, run(ctx, log.New(&out, "", 0)))
	rest := out.String()
	for _, want := range []string{
		"connecting  connecting\n",
		"connected   connected\n",
		"waiting     disconnected: ",
		"waiting     waiting for ",
		"waiting     attempt failed: ", "server down",
		"connected   connected\n",
		"connected   gap\n",
		`--- received "sent while the server was down" in epoch 2` + "\n",
		"waiting     attempt failed: ", "server down",
		`--- received "sent while the server was down" in epoch 3` + "\n",
		"closed      closed: ",
	} {
		before, after, found := strings.Cut(rest, want)
		require.True(t, found, "%q comes at its place in:\n%s", want, out.String())
		assert.NotContains(t, before, "--- received", "before %q", want)
		rest = after
	}
}
