package connect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/holdfast-ws/holdfast"
)

const (
	// maxRecord bounds the record that is replayed.
	maxRecord = 256 << 20
	maxTime   = 365 * 24 * time.Hour
)

// entry is a line of a record. Time is in seconds since its begin.
type entry struct {
	Time      float64 `json:"time"`
	Direction string  `json:"direction"` // sent, received
	Type      string  `json:"type"`      // text, binary
	Data      *string `json:"data,omitempty"`
	Base64    *string `json:"base64,omitempty"` // of binary messages, in the place of Data
}

const (
	sent     = "sent"
	received = "received"
)

func newEntry(at time.Duration, direction string, m holdfast.Message) entry {
	e := entry{Time: math.Round(at.Seconds()*1e6) / 1e6, Direction: direction, Type: "text"}
	if m.Type == holdfast.Binary {
		data := base64.StdEncoding.EncodeToString(m.Data)
		e.Type, e.Base64 = "binary", &data
	} else {
		data := string(m.Data)
		e.Data = &data
	}
	return e
}

// message is what an entry holds.
func (e entry) message() (holdfast.Message, error) {
	m := holdfast.Message{Type: holdfast.Text}
	switch {
	case e.Direction != sent && e.Direction != received:
		return m, errors.New("direction is neither sent nor received")
	case e.Type != "text" && e.Type != "binary":
		return m, errors.New("type is neither text nor binary")
	case (e.Data == nil) == (e.Base64 == nil):
		return m, errors.New("one of data and base64 is needed")
	case !(e.Time >= 0 && e.Time <= maxTime.Seconds()):
		return m, errors.New("time is negative, or more than a year")
	}
	if e.Type == "binary" {
		m.Type = holdfast.Binary
	}
	if e.Base64 == nil {
		m.Data = []byte(*e.Data)
		return m, nil
	}
	data, err := base64.StdEncoding.DecodeString(*e.Base64)
	switch {
	case err != nil:
		return m, errors.New("base64 is not base64 (RFC 4648, section 4)")
	case m.Type == holdfast.Text && !utf8.Valid(data):
		return m, errors.New("the text is not UTF-8")
	}
	m.Data = data
	return m, nil
}

// loadReplay reads what a record has as sent.
func loadReplay(name string) ([]entry, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fileError(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	switch {
	case err != nil:
		return nil, fileError(err)
	case len(data) > maxRecord:
		return nil, fmt.Errorf("the record is larger than %d MiB", maxRecord>>20)
	}
	var all []entry
	last, n := 0.0, 0
	for line := range bytes.Lines(data) {
		n++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var e entry
		if json.Unmarshal(line, &e) != nil {
			return nil, fmt.Errorf("line %d is not JSON as -record writes it", n)
		}
		if _, err := e.message(); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if e.Time < last {
			return nil, fmt.Errorf("line %d: time is before that of the line above", n)
		}
		last = e.Time
		if e.Direction == sent {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the record has no sent message")
	}
	return all, nil
}

// replay sends entries with their gaps, speed times as fast. The first goes at
// once.
func replay(ctx context.Context, entries []entry, speed float64, send func(holdfast.Message) error) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for _, e := range entries {
		due := time.Duration((e.Time - entries[0].Time) / speed * float64(time.Second))
		timer.Reset(due - time.Since(start))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		m, err := e.message()
		if err != nil {
			return err
		}
		if err := send(m); err != nil {
			return err
		}
	}
	return nil
}

// recorder writes a record; nil writes none.
type recorder struct {
	file  *os.File
	start time.Time

	mu  sync.Mutex
	buf *bufio.Writer
	err error // the first one
}

// newRecorder makes the file, which must not exist.
func newRecorder(name string) (*recorder, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, errors.New("the file exists, and is not overwritten")
	}
	if err != nil {
		return nil, fileError(err)
	}
	return &recorder{file: f, start: time.Now(), buf: bufio.NewWriter(f)}, nil
}

// note writes a line.
func (r *recorder) note(direction string, m holdfast.Message) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	enc := json.NewEncoder(r.buf)
	enc.SetEscapeHTML(false)
	r.err = enc.Encode(newEntry(time.Since(r.start), direction, m))
	if r.err == nil {
		r.err = r.buf.Flush() // so that what happened is there whatever follows
	}
}

// close ends the record.
func (r *recorder) close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.file.Close(); r.err == nil {
		r.err = err
	}
	if r.err != nil {
		return fmt.Errorf("the record is not complete: %w", fileError(r.err))
	}
	return nil
}

// discard takes the file away again.
func (r *recorder) discard() {
	if r != nil {
		r.file.Close()
		_ = os.Remove(r.file.Name())
	}
}

// fileError is what the system says, without the operation.
func fileError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}
