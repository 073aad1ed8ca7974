package connect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// openPTY returns the two ends of a pseudo-terminal.
func openPTY(t *testing.T) (master, tty *os.File) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { tty.Close() })
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	return master, tty
}

func modes(t *testing.T, tty *os.File) unix.Termios {
	m, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return *m
}

// look reads what the terminal shows.
func look(master *os.File, p *paper) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			_, _ = p.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	return done
}

// TestTerminal is the whole command in a terminal, twice: the line of the first
// run is in the history of the second.
func TestTerminal(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	w := newWorld(t, nil, nil)
	for i, keys := range []string{"hello\r", "\x1b[A\r"} {
		master, tty := openPTY(t)
		before := modes(t, tty)
		var p paper
		looked := look(master, &p)
		set, err := parse([]string{w.url()})
		require.NoError(t, err)
		code := make(chan int)
		go func() { code <- run(t.Context(), set, cli.Streams{In: tty, Out: tty, Err: tty}) }()
		p.await(t, 0, "/help lists commands")
		assert.NotEqual(t, before, modes(t, tty), "raw")
		_, err = master.WriteString(keys)
		require.NoError(t, err)
		p.await(t, 0, "< hello\r\n")
		_, err = master.WriteString("\x04")
		require.NoError(t, err)
		assert.Equal(t, 0, <-code)
		assert.Equal(t, before, modes(t, tty), "as it was")
		p.await(t, 0, "\x1b[?2004l") // no more brackets around pastes
		assert.Len(t, w.texts(), i+1)
		tty.Close()
		<-looked
	}
	info, err := os.Stat(filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "holdfast", "history"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// TestTerminalSurvivesAPanic: of a goroutine of this program, while a line is read.
func TestTerminalSurvivesAPanic(t *testing.T) {
	t.Setenv("TERM", "xterm")
	w := newWorld(t, nil, nil)
	master, tty := openPTY(t)
	before := modes(t, tty)
	var p paper
	looked := look(master, &p)
	set, err := parse([]string{w.url(), "--no-history"})
	require.NoError(t, err)
	c := newClient(set, cli.Streams{In: tty, Out: tty, Err: tty})
	place, ok := c.terminals()
	require.True(t, ok)
	code := make(chan int)
	go func() {
		code <- c.run(t.Context(), false, func(ctx context.Context) error { return c.interact(ctx, place) })
	}()
	p.await(t, 0, "/help lists commands")
	assert.PanicsWithValue(t, "trouble", func() {
		defer c.rescue()
		panic("trouble")
	})
	assert.Equal(t, before, modes(t, tty))
	_, err = master.WriteString("\n\x04")
	require.NoError(t, err)
	assert.Equal(t, 0, <-code)
	tty.Close()
	<-looked
}
