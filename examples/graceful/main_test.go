package main

import (
	"bufio"
	"context"
	"io"
	"log"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const asProgram = "HOLDFAST_EXAMPLE_GRACEFUL"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// writerFunc is told of each line.
type writerFunc func(line string)

func (f writerFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var lines []string
	require.NoError(t, run(ctx, log.New(writerFunc(func(line string) {
		if lines = append(lines, line); line == "accepted 3\n" {
			cancel()
		}
	}), "", 0)))
	assert.Equal(t, "accepted 1\naccepted 2\naccepted 3\n"+
		"stopped: holdfast: message not sent: context canceled\n"+
		"closing\n"+
		"sent 3, the server received 3 and close code 1000\n", strings.Join(lines, ""))
}

func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "js" {
		t.Skip("a signal cannot be sent to another process here")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, self)
			cmd.Env = append(os.Environ(), asProgram+"=1",
				"GORACE=atexit_sleep_ms=0") // the race detector sleeps for a second otherwise
			cmd.Stderr = os.Stderr
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewReader(stdout)
			for line := ""; line != "accepted 3\n"; {
				line, err = lines.ReadString('\n')
				require.NoError(t, err)
			}
			require.NoError(t, cmd.Process.Signal(s))
			rest, err := io.ReadAll(lines)
			require.NoError(t, err)
			require.NoError(t, cmd.Wait(), string(rest))
			m := regexp.MustCompile(`(?s)stopped: .*closing\nsent (\d+), the server received (\d+) and close code 1000\n$`).FindStringSubmatch(string(rest))
			require.NotNil(t, m, string(rest))
			assert.Equal(t, m[1], m[2], "sent and received")
		})
	}
}
