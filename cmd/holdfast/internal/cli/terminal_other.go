//go:build !unix && !windows

package cli

import "os"

func TerminalSize(*os.File) (width, height int, ok bool) { return 0, 0, false }

func enableEscapes(*os.File) bool { return false }
