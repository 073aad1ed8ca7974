//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// TerminalSize returns columns and lines; false if f is no terminal. One that
// does not know its size counts as 80 by 24.
func TerminalSize(f *os.File) (width, height int, ok bool) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	if ws.Col == 0 || ws.Row == 0 {
		return 80, 24, true
	}
	return int(ws.Col), int(ws.Row), true
}

func enableEscapes(*os.File) bool { return true }
