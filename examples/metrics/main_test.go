package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScrape(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ready := make(chan net.Addr, 1)
	done := make(chan error, 1)
	go func() { done <- run(ctx, "127.0.0.1:0", "", func(a net.Addr) { ready <- a }) }()
	var page string
	select {
	case addr := <-ready:
		reconnected := regexp.MustCompile(`holdfast_connection_reconnects_total\{.*error_type="1006".* [1-9]`)
		measured := regexp.MustCompile(`holdfast_connection_rtt_seconds_count\{.* [1-9]`)
		for !reconnected.MatchString(page) || !measured.MatchString(page) {
			page = scrape(ctx, t, "http://"+addr.String()+"/metrics")
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("no reconnect to be seen in:\n%s", page)
			}
		}
	case err := <-done:
		t.Fatal(err)
	}
	cancel()
	require.NoError(t, <-done)
	if os.Getenv("SHOW_SCRAPE") != "" {
		t.Log(page)
	}

	// Whatever the queries and the alerts name is there, but for what has not happened.
	rules, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	names := regexp.MustCompile(`\bholdfast_(?:connection|dial|message|queue|io)_[a-z_]+[a-z]`).FindAllString(string(rules)+string(source), -1)
	require.Greater(t, len(names), 8)
	for _, name := range names {
		if name != "holdfast_dial_failures_total" && name != "holdfast_dial_phase" {
			assert.Regexp(t, `(?m)^`+name+`\{`, page)
		}
	}
	for _, label := range []string{`server_address="127.0.0.1"`, `url_scheme="ws"`, `holdfast_role="client"`, `holdfast_state="connected"`, `network_io_direction="transmit"`} {
		assert.Contains(t, page, label)
	}
}

func scrape(ctx context.Context, t *testing.T, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode, string(body))
	return string(body)
}

func TestAlertsAreRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("REQUIRE_PROMTOOL") != "" {
			t.Fatal(err)
		}
		t.Skip("promtool is not installed (Debian: apt-get install prometheus)")
	}
	out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "alerts.yml").CombinedOutput()
	require.NoError(t, err, string(out))
}
