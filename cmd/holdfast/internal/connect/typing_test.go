package connect

import (
	"io"
	"log"
)

var quiet = log.New(io.Discard, "", 0)

// typing is a terminal's, or pipe's, input.
type typing struct {
	*io.PipeReader
	w     *io.PipeWriter
	lines chan string
	done  chan struct{}
}

func newTyping() *typing {
	r, w := io.Pipe()
	t := &typing{r, w, make(chan string, 1000), make(chan struct{})}
	go func() {
		defer close(t.done)
		for s := range t.lines {
			if _, err := io.WriteString(w, s); err != nil {
				return
			}
		}
		w.Close()
	}()
	return t
}

// write types, and does not wait until somebody reads it.
func (t *typing) write(s string) { t.lines <- s }

// Close is the end of the input.
func (t *typing) Close() error {
	close(t.lines)
	return nil
}
