package connect

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// want is a message that must arrive.
type want struct {
	text string
	re   *regexp.Regexp // in the place of text
}

func (w want) matches(s string) bool {
	if w.re != nil {
		return w.re.MatchString(s)
	}
	return strings.Contains(s, w.text)
}

func (w want) String() string {
	if w.re != nil {
		return "/" + cli.Visible(w.re.String()) + "/"
	}
	return fmt.Sprintf("%q", w.text)
}

// expectation waits for messages in order. Each message is for one of them.
type expectation struct {
	met chan struct{} // closed when all have come

	mu    sync.Mutex
	wants []want
	next  int
}

func expecting(wants []want) *expectation {
	e := &expectation{met: make(chan struct{}), wants: wants}
	if len(wants) == 0 {
		close(e.met)
	}
	return e
}

// arrived hears of a message.
func (e *expectation) arrived(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next < len(e.wants) && e.wants[e.next].matches(s) {
		if e.next++; e.next == len(e.wants) {
			close(e.met)
		}
	}
}

// missing is nil when all have come.
func (e *expectation) missing() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next == len(e.wants) {
		return nil
	}
	return fmt.Errorf("expectation %d of %d has not arrived: %v", e.next+1, len(e.wants), e.wants[e.next])
}
