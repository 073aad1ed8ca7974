// Package cli is what the commands of holdfast share: exit codes, how a wrong
// command line is answered, and what they know of the terminal.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// Exit codes of every command. A command may have more, which its help lists.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitInterrupted = 130
)

// Streams are the three that a command has.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Usage deals with the error of a command's flags, and returns the exit code.
// Asking for help is not an error.
func Usage(name, help string, err error, s Streams) int {
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(s.Out, help)
		return ExitOK
	}
	fmt.Fprintf(s.Err, "holdfast %s: %v\nholdfast help %s lists the flags\n", name, err, name)
	return ExitUsage
}
