package connect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line of the standard input; hex is twice as long as what it
// says.
const maxLine = 33 << 20

// input is a line, or its end.
type input struct {
	text   string
	pasted bool
	err    error
}

// inputs reads in a goroutine of its own until next fails or ctx ends. Where a
// read of the standard input is under way then, nothing can end that goroutine but
// the input, or the process.
func (c *client) inputs(ctx context.Context, next func() (input, error)) <-chan input {
	lines := make(chan input)
	go func() {
		defer c.rescue()
		for {
			in, err := next()
			in.err = err
			select {
			case lines <- in:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return lines
}

var errEarly = errors.New("the connection has ended before the standard input")

// pipe sends each line of the standard input, until its end.
func (c *client) pipe(alive context.Context) error {
	if c.streams.In == nil {
		return nil
	}
	scanner := bufio.NewScanner(c.streams.In)
	scanner.Buffer(nil, maxLine)
	lines := c.inputs(alive, func() (input, error) {
		if scanner.Scan() {
			return input{text: scanner.Text()}, nil
		}
		if err := scanner.Err(); err != nil {
			return input{}, err
		}
		return input{}, io.EOF
	})
	for n := 1; ; n++ {
		select {
		case <-alive.Done():
			return errEarly
		case in := <-lines:
			switch {
			case errors.Is(in.err, io.EOF):
				return nil
			case errors.Is(in.err, bufio.ErrTooLong):
				return fmt.Errorf("line %d of the standard input is longer than %d MiB", n, maxLine>>20)
			case in.err != nil:
				return fmt.Errorf("the standard input: %w", in.err)
			}
			m, err := c.set.form.message(in.text)
			if err != nil {
				return fmt.Errorf("line %d of the standard input %w", n, err)
			}
			if err := c.send(alive, m); err != nil {
				return err
			}
		}
	}
}
