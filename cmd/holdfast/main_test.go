package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{nil, 2, "", "Usage: holdfast COMMAND"},
		{[]string{"help"}, 0, "Usage: holdfast COMMAND", ""},
		{[]string{"--help"}, 0, "Usage: holdfast COMMAND", ""},
		{[]string{"help", "demo"}, 0, "Usage: holdfast demo", ""},
		{[]string{"help", "connect"}, 0, "Usage: holdfast connect URL", ""},
		{[]string{"connect", "--help"}, 0, "Exit codes: 0", ""},
		{[]string{"connect"}, 2, "", "holdfast connect: 0 URLs given"},
		{[]string{"connect", "example.com"}, 2, "", "holdfast connect: URL: has no scheme"},
		{[]string{"connect", "ws://127.0.0.1:1", "--speed", "2"}, 2, "", "flag -speed"},
		{[]string{"help", "serve"}, 0, "Usage: holdfast serve", ""},
		{[]string{"serve", "--help"}, 0, "Exit codes: 0", ""},
		{[]string{"serve", "--addr", "8080"}, 2, "", `invalid value "8080" for flag -addr`},
		{[]string{"serve", "--chaos", "flood"}, 2, "", `for flag -chaos: there is no fault "flood"`},
		{[]string{"serve", "now"}, 2, "", `unexpected argument "now"`},
		{[]string{"demo", "-h"}, 0, "close1012", ""},
		{[]string{"demo", "--help"}, 0, "Exit codes: 0", ""},
		{[]string{"dance"}, 2, "", `there is no command "dance"`},
		{[]string{"help", "dance"}, 2, "", `there is no command "dance"`},
		{[]string{"demo", "--speed", "3"}, 2, "", "-speed"},
		{[]string{"demo", "--duration", "soon"}, 2, "", `invalid value "soon" for flag -duration: a duration looks like 20s`},
		{[]string{"demo", "--duration", "2h"}, 2, "", "flag -duration: at most 1h"},
		{[]string{"demo", "--duration", "3s"}, 2, "", "flag -duration: 3s is too short"},
		{[]string{"demo", "--duration", "-3s", "--faults", "none"}, 2, "", "flag -duration: -3s is too short"},
		{[]string{"demo", "--faults", "reset,flood"}, 2, "", `for flag -faults: there is no fault "flood"; there are blocked, restart,`},
		{[]string{"demo", "--faults", ""}, 2, "", `for flag -faults: there is no fault ""`},
		{[]string{"demo", "--seed", "-1"}, 2, "", `invalid value "-1" for flag -seed`},
		{[]string{"demo", "now"}, 2, "", `unexpected argument "now"`},
		{[]string{"help", "doctor"}, 0, "Usage: holdfast doctor URL", ""},
		{[]string{"doctor"}, 2, "", "holdfast doctor: it takes a URL"},
		{[]string{"doctor", "wss://a/", "--idle", "soon"}, 2, "", `invalid value "soon" for flag -idle: a duration looks like`},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, c.code, run(c.args, cli.Streams{Out: &stdout, Err: &stderr}), "%q", c.args)
		for _, s := range []struct{ want, got string }{{c.stdout, stdout.String()}, {c.stderr, stderr.String()}} {
			if s.want == "" {
				assert.Empty(t, s.got, "%q", c.args)
			} else {
				assert.Contains(t, s.got, s.want, "%q", c.args)
			}
		}
	}
}

func TestHelpListsWhatThereIs(t *testing.T) {
	for _, c := range commands {
		assert.Contains(t, overview(), c.name)
	}
}
