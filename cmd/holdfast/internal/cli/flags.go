package cli

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// Flags reads a command line. Errors name the flag.
type Flags struct {
	*flag.FlagSet
	failed error // the first one of a Secret
}

// NewFlags returns the flags of a command, none yet. It prints nothing.
func NewFlags(name string) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.SetOutput(io.Discard)
	return f
}

// Secret is Func for a value that may be a secret: the error does not quote it.
func (f *Flags) Secret(name string, set func(string) error) {
	f.Func(name, "", func(v string) error {
		if err := set(v); err != nil && f.failed == nil {
			f.failed = fmt.Errorf("flag -%s: %w", name, err)
		}
		return nil
	})
}

// Parse returns the arguments that are no flags. They may stand before, between
// and after the flags; all that follows "--" is an argument.
func (f *Flags) Parse(args []string) (rest []string, err error) {
	for {
		if err := f.FlagSet.Parse(args); err != nil {
			return nil, err
		}
		left := f.Args()
		if n := len(args) - len(left); n > 0 && args[n-1] == "--" || len(left) == 0 {
			return append(rest, left...), f.failed
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// Given says whether a flag stands on the command line.
func (f *Flags) Given(name string) (given bool) {
	f.Visit(func(g *flag.Flag) { given = given || g.Name == name })
	return given
}

// List is a flag.Value that may be given more than once.
type List []string

// String joins the values.
func (l *List) String() string { return strings.Join(*l, ", ") }

// Set adds one.
func (l *List) Set(v string) error {
	*l = append(*l, v)
	return nil
}
