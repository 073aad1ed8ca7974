//go:build !unix && !windows

package main

import "os"

func terminalSize(*os.File) (width, height int, ok bool) { return 0, 0, false }

func enableEscapes(*os.File) bool { return false }
