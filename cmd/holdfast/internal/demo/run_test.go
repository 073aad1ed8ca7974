package demo

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHelpListsTheFaults(t *testing.T) {
	for _, f := range faults {
		assert.Contains(t, demoHelp(), f.about)
	}
}

// TestDemoOverTCP runs the command itself, on a loopback port.
func TestDemoOverTCP(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := Run([]string{"--duration", "5s", "--faults", "reset,close1012", "--seed", "2"}, cli.Streams{Out: &stdout, Err: &stderr})
	assert.Equal(t, cli.ExitOK, code, "%s", stdout.String())
	assert.Empty(t, stderr.String())
	assert.Contains(t, stdout.String(), "link lost")
	assert.Contains(t, stdout.String(), "1012 service restart")
	assert.Contains(t, stdout.String(), "Every promise held")
}
