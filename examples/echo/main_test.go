package main

import (
	"bytes"
	"context"
	"log"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func TestRun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := holdfasttest.NewServer(l)
	defer server.Close()
	for name, args := range map[string][]string{"own server": nil, "URL": {server.URL()}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			var out bytes.Buffer
			require.NoError(t, run(ctx, log.New(&out, "", 0), args))
			assert.Equal(t, "hello\n", out.String())
		})
	}
	assert.Equal(t, 1, server.Accepted(), "the server of the URL was asked, once")
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	err := run(t.Context(), log.New(&bytes.Buffer{}, "", 0), []string{"server.example/echo"})
	require.ErrorContains(t, err, "url:")
}
