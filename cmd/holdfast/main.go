// Command holdfast shows, tries and checks connections.
//
//	holdfast connect  an interactive client
//	holdfast serve    a server for trying clients
//	holdfast doctor   why a connection does not come about, or how good it is
//	holdfast demo     a server, clients and faults in one process
//	holdfast help     what there is
package main

import (
	"fmt"
	"os"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/connect"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/demo"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/doctor"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/serve"
)

// command is one of the words that may follow holdfast.
type command struct {
	name  string
	about string
	run   func(args []string, s cli.Streams) int
}

var commands = []command{
	{"connect", "an interactive client: type messages, see what arrives, or script both", connect.Run},
	{"serve", "echo and rooms over WebSocket and long polling, for trying clients", serve.Run},
	{"doctor", "why a connection does not come about, or how good it is, step by step", doctor.Run},
	{"demo", "a server, clients and faults in one process, drawn live, with a tally", demo.Run},
}

func main() {
	os.Exit(run(os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

func run(args []string, s cli.Streams) int {
	if len(args) == 0 {
		fmt.Fprint(s.Err, overview())
		return cli.ExitUsage
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(args) == 0 {
			fmt.Fprint(s.Out, overview())
			return cli.ExitOK
		}
		name, args = args[0], []string{"-help"}
	}
	for _, c := range commands {
		if c.name == name {
			return c.run(args, s)
		}
	}
	fmt.Fprintf(s.Err, "holdfast: there is no command %q; holdfast help lists them\n", name)
	return cli.ExitUsage
}

func overview() string {
	s := "Holdfast keeps a message connection to a server up.\n\nUsage: holdfast COMMAND [flags]\n\nCommands:\n"
	for _, c := range commands {
		s += fmt.Sprintf("  %-8s  %s\n", c.name, c.about)
	}
	return s + fmt.Sprintf("  %-8s  %s\n", "help", "this text; holdfast help COMMAND tells more of one")
}
