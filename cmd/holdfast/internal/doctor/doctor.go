// Package doctor is the command holdfast doctor: it finds out why a connection
// does not come about, or how good it is.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
	"github.com/holdfast-ws/holdfast/doctor"
)

// Run is the command.
func Run(args []string, s cli.Streams) int {
	c, err := parse(args, os.LookupEnv)
	if err != nil {
		return cli.Usage("doctor", help(), err, s)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	return c.run(ctx, s)
}

func (c *command) run(ctx context.Context, s cli.Streams) int {
	v := newScreen(s.Out)
	if !c.json {
		c.show(v)
	}
	report, err := doctor.Run(ctx, c.url, &c.opts)
	if err != nil {
		return cli.Usage("doctor", help(), flagOf(err), s)
	}
	if c.json {
		e := json.NewEncoder(s.Out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(report); err != nil {
			fmt.Fprintf(s.Err, "holdfast doctor: %v\n", err)
			return cli.ExitFailed
		}
	} else {
		v.verdict(report, ctx.Err() != nil)
	}
	if ctx.Err() != nil {
		return cli.ExitInterrupted
	}
	return report.Verdict.ExitCode
}

// show has the steps shown as they come. The title comes with the first, so that a
// wrong argument leaves nothing half printed.
func (c *command) show(v *screen) {
	v.idle = c.opts.Idle
	begun := false
	c.opts.OnStart = func(name string) {
		if !begun {
			begun = true
			v.title(c)
		}
		v.start(name)
	}
	c.opts.OnStep = v.step
}

// flags are the command line's words for what options are called.
var flags = map[string]string{
	"Header": "-H", "Subprotocols": "--subprotocol", "Timeout": "--timeout", "Pings": "--pings", "Idle": "--idle", "HandshakeTimeout": "--timeout",
}

// flagOf names the flag that an option came by.
func flagOf(err error) error {
	var wrong *holdfast.OptionError
	if !errors.As(err, &wrong) {
		return err
	}
	if errors.Is(err, holdfast.ErrInsecureCredentials) {
		return errors.New("credentials would travel without TLS, for anybody on the way to read: use wss:// or https://, or allow it with --allow-insecure-credentials")
	}
	text := strings.TrimPrefix(wrong.Err.Error(), "holdfast: ")
	if name, ok := flags[wrong.Field]; ok {
		return fmt.Errorf("flag %s: %s", name, text)
	}
	if wrong.Field == "url" {
		return fmt.Errorf("the URL %s", text)
	}
	return fmt.Errorf("%s: %s", wrong.Field, text)
}
