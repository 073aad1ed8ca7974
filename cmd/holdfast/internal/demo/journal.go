package demo

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// entry is a line of the log.
type entry struct {
	at   time.Duration // since the start
	who  string        // a lane, "" for the script of faults
	text string
	mood mood
}

// mood is how an entry is to be looked at.
type mood int

const (
	plainly mood = iota
	good
	bad
	away // offline
)

// journal collects entries until a view takes them.
type journal struct {
	start time.Time

	mu      sync.Mutex
	entries []entry
	held    map[string]failure // by lane
}

// failure is an entry that waits for what follows from it, which comes at once.
type failure struct {
	entry
	unproven string
}

func newJournal(start time.Time) *journal {
	return &journal{start: start, held: map[string]failure{}}
}

// say adds a line of the script.
func (j *journal) say(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry{at: time.Since(j.start), text: fmt.Sprintf(format, args...)})
}

// take returns what is new.
func (j *journal) take() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	taken := j.entries
	j.entries = nil
	return taken
}

// event adds what happened to a lane's client. A failure and the delay that
// follows from it share a line.
func (j *journal) event(who string, e holdfast.Event) {
	line := entry{at: e.Time.Sub(j.start), who: who}
	j.mu.Lock()
	defer j.mu.Unlock()
	held, waits := j.held[who]
	delete(j.held, who)
	if waits {
		held.text += held.unproven
		switch e.Kind {
		case holdfast.EventWaiting:
			held.text += ", next try in " + seconds(e.Delay)
		case holdfast.EventOffline:
			held.text, held.mood = "offline"+held.unproven+", waiting for the network", away
		}
		j.entries = append(j.entries, held.entry)
	}
	switch e.Kind {
	case holdfast.EventConnected:
		line.text, line.mood = "connected", good
		switch {
		case e.Resumed:
			line.text += ", the session goes on"
		case e.Epoch > 1:
			line.text += fmt.Sprintf(", epoch %d", e.Epoch)
		}
		if e.Transport != websocket {
			line.text += ", " + e.Transport
		}
	case holdfast.EventFellBack:
		line.text = e.Transport + " came first, as WebSocket has failed here before"
		if !remembered(e) {
			line.text = fmt.Sprintf("fell back on %s: %s", e.Transport, reason(e.Err))
		}
	case holdfast.EventUpgraded:
		line.text, line.mood = "climbed back to "+e.Transport, good
	case holdfast.EventDisconnected:
		line.text, line.mood = reason(e.Err), bad
		if !byServer(e.Err) {
			line.text = "link lost, " + line.text
		}
		unproven := ""
		if e.Count > 0 {
			unproven = fmt.Sprintf(", %d unproven", e.Count)
		}
		j.held[who] = failure{line, unproven}
		return
	case holdfast.EventAttemptFailed:
		if e.State == holdfast.StateConnected {
			line.text, line.mood = fmt.Sprintf("%s still fails: %s", e.Transport, reason(e.Err)), plainly
			break
		}
		line.text, line.mood = fmt.Sprintf("attempt %d failed: %s", e.Attempt, reason(e.Err)), bad
		j.held[who] = failure{entry: line}
		return
	case holdfast.EventOffline:
		if waits {
			return
		}
		line.text, line.mood = "offline, waiting for the network", away
	case holdfast.EventOnline:
		line.text, line.mood = "the network is back", away
	case holdfast.EventDropped:
		line.text, line.mood = fmt.Sprintf("%d messages dropped: %s", e.Count, reason(e.Err)), bad
	case holdfast.EventClosed:
		line.text, line.mood = "closed", plainly
		if !errors.Is(e.Err, holdfast.ErrClosed) {
			line.text, line.mood = "ended: "+reason(e.Err), bad
		}
	default: // connecting, waiting, network changed, gap: told by the others
		return
	}
	j.entries = append(j.entries, line)
}

// reason is an error in a few words.
func reason(err error) string {
	var dial *holdfast.DialError
	var closed *holdfast.CloseError
	var errno syscall.Errno
	switch {
	case errors.Is(err, holdfast.ErrRetriesExhausted):
		return holdfast.ErrRetriesExhausted.Error()
	case errors.As(err, &dial) && dial.StatusCode != 0:
		s := fmt.Sprintf("%v, status %d", dial.Class, dial.StatusCode)
		if dial.RetryAfter > 0 {
			s += ", Retry-After " + seconds(dial.RetryAfter)
		}
		return s
	case errors.As(err, &dial):
		return dial.Class.String()
	case errors.As(err, &closed) && closed.Remote:
		return "closed by the server, " + closed.Code.String()
	case errors.Is(err, io.EOF):
		return "EOF without a close frame"
	case errors.As(err, &errno):
		return errno.Error()
	}
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// byServer says that the server closed with a close frame.
func byServer(err error) bool {
	var closed *holdfast.CloseError
	return errors.As(err, &closed) && closed.Remote
}

// seconds writes a duration of the size of seconds.
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond)/time.Millisecond)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// remembered says that an earlier failure of WebSocket made the fallback come
// first: nothing was tried this time.
func remembered(e holdfast.Event) bool {
	var dial *holdfast.DialError
	return errors.As(e.Err, &dial) && dial.Phase < holdfast.PhaseResolve
}
