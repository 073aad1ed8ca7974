package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// terminal is where lines are edited.
type terminal struct{ in, out *os.File }

// terminals says whether lines are to be edited, and where.
func (c *client) terminals() (t terminal, ok bool) {
	in, ok := c.streams.In.(*os.File)
	if !ok || c.set.scripted() || !term.IsTerminal(int(in.Fd())) {
		return t, false
	}
	out, ok := cli.Screen(c.streams.Out)
	return terminal{in, out}, ok
}

// interact reads lines from the terminal until Ctrl-D, Ctrl-C, /close, or the end
// of the connection. Then, and when something panics, the terminal is as it was.
func (c *client) interact(alive context.Context, t terminal) error {
	if err := c.prepared(alive); err != nil {
		return err
	}
	h := c.openHistory()
	defer h.close()
	e := newEditor(t.in, t.out, h)
	fit := func() {
		if width, height, ok := cli.TerminalSize(t.out); ok {
			_ = e.SetSize(width, height)
		}
	}
	defer onResize(fit)()
	notes := io.Writer(e)
	if _, ok := cli.Screen(c.streams.Err); !ok {
		notes = c.streams.Err
	}
	var before *term.State
	var err error
	restore := sync.OnceFunc(func() {
		if before == nil { // it never was another one
			return
		}
		fmt.Fprint(t.out, "\r\n\x1b[J") // below the line that was being typed
		e.SetBracketedPasteMode(false)
		_ = term.Restore(int(t.in.Fd()), before)
	})
	defer restore() // where this panics
	c.screen.redirect(e, notes, func() {
		if before, err = term.MakeRaw(int(t.in.Fd())); err == nil {
			c.restore.Store(&restore)
			e.SetBracketedPasteMode(true)
		}
	})
	if err != nil {
		c.screen.redirect(c.streams.Out, c.streams.Err, nil)
		return fmt.Errorf("the terminal: %w", err)
	}
	err = c.edit(alive, e, fit)
	c.screen.redirect(c.streams.Out, c.streams.Err, restore)
	return err
}

// rescue is deferred by goroutines: the terminal must survive a panic.
func (c *client) rescue() {
	if r := recover(); r != nil {
		if restore := c.restore.Load(); restore != nil {
			(*restore)()
		}
		panic(r)
	}
}

func (c *client) openHistory() *history {
	if c.set.noHistory {
		return &history{}
	}
	name, err := historyFile()
	h := &history{}
	if err == nil {
		h, err = openHistory(name)
	}
	if err != nil {
		c.screen.state("the history is not kept: %v", err)
	}
	return h
}

// edit is interact on a terminal that is ready. begin is called before each line.
func (c *client) edit(alive context.Context, e *editor, begin func()) error {
	c.screen.state("Ctrl-D closes, /help lists commands")
	reading, stop := context.WithCancel(alive)
	defer stop()
	lines := c.inputs(reading, func() (input, error) {
		begin()
		text, pasted, err := e.entry(c.set.form == formJSON)
		return input{text: text, pasted: pasted}, err
	})
	for {
		select {
		case <-alive.Done():
			return nil
		case in := <-lines:
			switch {
			case errors.Is(in.err, io.EOF):
				return nil
			case in.err != nil:
				return in.err
			case in.text != "":
				c.enter(alive, in.text, in.pasted)
			}
		}
	}
}
