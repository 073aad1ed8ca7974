package connect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

const commandHelp = `  /stats                   what the connection has done, and its round trip
  /reconnect               drops the link and dials afresh
  /close [CODE [REASON]]   closes, with 1000 unless CODE says otherwise
  /help                    this
  //text                   sends /text
  Ctrl-D and Ctrl-C close with 1000; the arrows move and recall lines`

// enter is a line that was typed or pasted.
func (c *client) enter(alive context.Context, text string, pasted bool) {
	if !pasted && strings.HasPrefix(text, "/") {
		if !strings.HasPrefix(text, "//") {
			c.command(text)
			return
		}
		text = text[1:]
	}
	m, err := c.set.form.message(text)
	if err != nil {
		c.screen.fail(fmt.Errorf("not sent: what was entered %w", err))
		return
	}
	if err := c.send(alive, m); err != nil && alive.Err() == nil {
		c.screen.fail(err)
	}
}

// command obeys a line that begins with a slash.
func (c *client) command(line string) {
	name, rest, _ := strings.Cut(line, " ")
	switch rest = strings.TrimSpace(rest); {
	case name == "/help":
		c.screen.answer(commandHelp)
	case name == "/stats" && rest == "":
		c.screen.answer(c.stats(time.Now()))
	case name == "/reconnect" && rest == "":
		c.conn.Reconnect()
	case name == "/close":
		if err := c.closeWith(rest); err != nil {
			c.screen.fail(err)
		}
	case rest != "" && (name == "/stats" || name == "/reconnect"):
		c.screen.fail(fmt.Errorf("%s takes nothing after it", name))
	default:
		c.screen.fail(fmt.Errorf("there is no command %s; /help lists them, and /%s sends the line", name, name))
	}
}

// closeWith closes with a code and a reason, if they can be sent.
func (c *client) closeWith(args string) error {
	code, reason := holdfast.StatusNormalClosure, ""
	if args != "" {
		number, rest, _ := strings.Cut(args, " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("/close: %q is not a close code, such as 1000", number)
		}
		code, reason = holdfast.StatusCode(n), strings.TrimSpace(rest)
	}
	err := c.conn.CloseWith(context.Background(), code, reason) // bounded by CloseTimeout
	var o *holdfast.OptionError
	if errors.As(err, &o) {
		return fmt.Errorf("/close: %s %w", o.Field, o.Err)
	}
	return nil
}

// stats is the answer to /stats.
func (c *client) stats(now time.Time) string {
	st := c.conn.Stats()
	line := "  " + st.State.String()
	if st.Transport != "" {
		line += " over " + st.Transport + " for " + now.Sub(st.ConnectedSince).Round(time.Second).String()
	}
	line += fmt.Sprintf(" · %s", cli.Visible(st.Endpoint))
	if st.RTT > 0 {
		line += fmt.Sprintf("\n  round trip %v", st.RTT.Round(10*time.Microsecond))
	}
	line += fmt.Sprintf("\n  sent %s, %d bytes · received %s, %d bytes", messages(int(st.MessagesSent)), st.BytesSent, messages(int(st.MessagesReceived)), st.BytesReceived)
	line += fmt.Sprintf("\n  waiting to be sent %d · without a receipt %d · links %d · attempts %d", st.Queued, st.Unacknowledged, st.Connects, st.Attempts)
	if st.Unknown+st.Dropped > 0 {
		line += fmt.Sprintf("\n  of unknown fate %d · dropped %d", st.Unknown, st.Dropped)
	}
	if st.LastError != nil {
		line += "\n  last failure: " + cli.Visible(inner(st.LastError))
	}
	return line
}
