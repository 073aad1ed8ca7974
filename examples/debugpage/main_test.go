package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/debugpage"
)

func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, log.New(out, "", 0), "127.0.0.1:0") }()
	url, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	url = strings.TrimSpace(url)

	get := func(host, accept string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		r.Header.Set("Accept", accept)
		if host != "" {
			r.Host = host
		}
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	require.Eventually(t, func() bool {
		status, body := get("", "application/json")
		var r debugpage.Report
		return assert.Equal(t, 200, status) && assert.NoError(t, json.Unmarshal([]byte(body), &r)) &&
			r.Kinds["conn"] == 4 && r.Kinds["session"] == 3 && r.States["connected"] == 6
	}, 20*time.Second, 20*time.Millisecond)
	status, body := get("", "text/html")
	assert.Equal(t, 200, status)
	assert.Contains(t, body, "<h1>The example</h1>")
	for _, own := range []string{"localhost", "localhost:99", "[::1]", "127.0.0.1"} {
		status, _ = get(own, "text/html")
		assert.Equal(t, 200, status, own)
	}
	for _, foreign := range []string{"evil.example", "evil.example:80", "localhost.evil.example", "192.0.2.1"} {
		status, body = get(foreign, "text/html")
		assert.Equal(t, 403, status)
		assert.NotContains(t, body, "The example", "others see nothing")
	}
	cancel()
	require.NoError(t, <-ended)
}

func TestPageIsForThisMachineAlone(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "server.example:0", "127.0.0.1", ""} {
		err := run(t.Context(), log.New(&bytes.Buffer{}, "", 0), addr)
		require.ErrorContains(t, err, "-debug:")
	}
}
