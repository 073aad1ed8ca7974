package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/doctor"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

func execute(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Run(args, cli.Streams{Out: &out, Err: &err})
	return code, out.String(), err.String()
}

// A wrong command line is said to be wrong, by its flag, and nothing is printed on
// stdout.
func TestUsage(t *testing.T) {
	t.Setenv("TOKEN_EMPTY", "")
	t.Setenv("TOKEN", "Bearer "+planted)
	t.Setenv("TOKEN_BAD", planted+"\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "it takes a URL, as wss://example.com/stream"},
		{[]string{""}, "it takes a URL"},
		{[]string{"example.com"}, "the URL has no scheme"},
		{[]string{"ftp://example.com"}, `the URL the scheme "ftp" is not ws or wss`},
		{[]string{"ws://a/", "ws://b/"}, "more than one URL"},
		{[]string{"ws://a/", "--sing"}, "-sing"},
		{[]string{"ws://a/", "--timeout", "soon"}, "a duration looks like 10s or 5m"},
		{[]string{"ws://a/", "--timeout", "0s"}, "more than 0"},
		{[]string{"ws://a/", "--idle", "2h"}, "flag --idle: 2h0m0s is not from 1s to 1h0m0s"},
		{[]string{"ws://a/", "--pings", "many"}, "flag -pings"},
		{[]string{"ws://a/", "--pings", "-1"}, "flag -pings"},
		{[]string{"ws://a/", "--pings", "1001"}, "flag --pings: 1001 is more than 1000"},
		{[]string{"ws://a/", "-H", planted}, "flag -H: a header looks like 'Name: value'"},
		{[]string{"ws://a/", "-H", "Upgrade: h2c"}, "flag -H: Upgrade belongs to the handshake"},
		{[]string{"ws://a/", "-H", "X: a\x01" + planted}, "flag -H: the value of X"},
		{[]string{"ws://a/", "--subprotocol", "a b" + planted}, "flag --subprotocol: element 0 is not a token"},
		{[]string{"ws://a/", "--proxy", "gopher://u:" + planted + "@p/"}, "flag --proxy: the scheme of a proxy is"},
		{[]string{"ws://a/", "--proxy", "p:3128"}, "flag --proxy: a proxy looks like"},
		{[]string{"wss://a/", "--auth", "Bearer " + planted}, "flag --auth: it takes the name of an environment variable"},
		{[]string{"wss://a/", "--auth", planted + "0"}, "flag --auth: there is no such environment variable"},
		{[]string{"wss://a/", "--auth", "TOKEN_EMPTY"}, "flag --auth: there is no such environment variable, or it is empty"},
		{[]string{"wss://a/", "--auth", "TOKEN_BAD"}, "flag -H: the value of Authorization has a character"},
		{[]string{"wss://a/", "-H", "authorization: x", "--auth", "TOKEN"}, "flag --auth: there is an Authorization already"},
		{[]string{"ws://a.example/", "--auth", "TOKEN"}, "allow it with --allow-insecure-credentials"},
		{[]string{"wss://user:" + planted + "@a.example/", "--auth", "TOKEN"}, "only one of them can be sent"},
	} {
		code, out, err := execute(c.args...)
		assert.Equal(t, cli.ExitUsage, code, "%q", c.args)
		assert.Empty(t, out, "%q", c.args)
		assert.Contains(t, err, c.want, "%q", c.args)
		assert.NotContains(t, err, planted, "%q", c.args)
		assert.Contains(t, err, "holdfast help doctor lists the flags")
	}
}

func TestHelp(t *testing.T) {
	code, out, err := execute("--help")
	assert.Zero(t, code)
	assert.Empty(t, err)
	for class := holdfast.ClassUnknown; class <= holdfast.ClassNotSticky; class++ {
		assert.Contains(t, out, class.String())
	}
	assert.Contains(t, out, "22 blocked")
}

// Flags stand before and after the URL, and do what they say.
func TestFlags(t *testing.T) {
	t.Setenv("TOKEN", "Bearer "+planted)
	s := holdfasttest.NewTLSServer(listen(t), nil)
	t.Cleanup(s.Close)
	var seen http.Header
	s.OnRequest(func(_ int, r *http.Request) holdfasttest.Reply {
		seen = r.Header.Clone()
		return holdfasttest.Accept{Subprotocol: "b"}
	})
	code, out, err := execute("--insecure", "-H", "X-A: 1", s.URL()+"?token="+planted, "--auth", "TOKEN", "-H", "X-A:2", "--subprotocol", "a,b",
		"--pings", "2", "--timeout", "20s", "--proxy", "none")
	require.Zero(t, code, out+err)
	assert.Empty(t, err)
	assert.Equal(t, []string{"1", "2"}, seen["X-A"])
	assert.Equal(t, "Bearer "+planted, seen.Get("Authorization"))
	assert.Contains(t, out, "CERTIFICATES ARE NOT VERIFIED (--insecure)")
	assert.Contains(t, out, "2 pings: min")
	assert.Contains(t, out, "! WebSocket works")
	assert.NotContains(t, out, planted)
	assert.NotContains(t, out, "\x1b", "colours are for terminals")
}

func TestJSON(t *testing.T) {
	code, out, err := execute("--json", "ws://"+deafPort(t)+"/stream?token="+planted, "--proxy", "none")
	assert.Equal(t, 14, code)
	assert.Empty(t, err)
	assert.NotContains(t, out, planted)
	var report struct {
		Schema  int
		Steps   []struct{ Name, Status string }
		Verdict struct {
			OK       bool
			Class    string
			ExitCode int `json:"exit_code"`
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Equal(t, doctor.Schema, report.Schema)
	assert.Equal(t, "server down", report.Verdict.Class)
	assert.Equal(t, code, report.Verdict.ExitCode)
	assert.Len(t, report.Steps, 13)
}

func TestInterrupted(t *testing.T) {
	s := holdfasttest.NewServer(listen(t))
	t.Cleanup(s.Close)
	s.OnRequest(func(int, *http.Request) holdfasttest.Reply { return holdfasttest.Hang{} })
	c, err := parse([]string{s.URL(), "--proxy", "none"}, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = s.WaitRequests(ctx, 1)
		cancel()
	}()
	var out, stderr bytes.Buffer
	assert.Equal(t, cli.ExitInterrupted, c.run(ctx, cli.Streams{Out: &out, Err: &stderr}))
	assert.Contains(t, out.String(), "called off")
	assert.Empty(t, stderr.String())
}
