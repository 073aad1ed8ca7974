// Command holdfast shows and checks what the library does.
//
//	holdfast demo    a server, clients and faults in one process
//	holdfast help    what there is
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

// Exit codes of every command.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// command is one of the words that may follow holdfast.
type command struct {
	name  string
	about string
	run   func(args []string, stdout, stderr io.Writer) int
}

var commands = []command{
	{"demo", "a server, clients and faults in one process, drawn live, with a tally", runDemo},
}

func main() { os.Exit(holdfastMain(os.Args[1:], os.Stdout, os.Stderr)) }

func holdfastMain(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, overview())
		return exitUsage
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(args) == 0 {
			fmt.Fprint(stdout, overview())
			return exitOK
		}
		name, args = args[0], []string{"-help"}
	}
	for _, c := range commands {
		if c.name == name {
			return c.run(args, stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "holdfast: there is no command %q; holdfast help lists them\n", name)
	return exitUsage
}

func overview() string {
	s := "Holdfast keeps a message connection to a server up.\n\nUsage: holdfast COMMAND [flags]\n\nCommands:\n"
	for _, c := range commands {
		s += fmt.Sprintf("  %-8s  %s\n", c.name, c.about)
	}
	return s + fmt.Sprintf("  %-8s  %s\n", "help", "this text; holdfast help COMMAND tells more of one")
}

// usage deals with the error of a command's flags. Asking for help is not one.
func usage(name, help string, err error, stdout, stderr io.Writer) int {
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, help)
		return exitOK
	}
	fmt.Fprintf(stderr, "holdfast %s: %v\nholdfast help %s lists the flags\n", name, err, name)
	return exitUsage
}
