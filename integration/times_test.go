//go:build linux

package integration

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// measurement is a row of the table at the end of the run.
type measurement struct {
	box, verdict, transport string
	first                   time.Duration
}

var measured struct {
	sync.Mutex
	rows []measurement
}

// measure notes how long a client took to its first message, which no test
// asserts.
func (c *client) measure(box, verdict string) {
	c.t.Helper()
	m := measurement{box, verdict, c.Stats().Transport, c.first}
	c.t.Logf("%s: %s, over %s, first message after %v", m.box, m.verdict, m.transport, m.first.Round(100*time.Microsecond))
	measured.Lock()
	defer measured.Unlock()
	measured.rows = append(measured.rows, m)
}

func TestMain(m *testing.M) {
	status := m.Run()
	if len(measured.rows) > 0 {
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "middlebox\tverdict\ttransport\tfirst message (ms)")
		for _, r := range measured.rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\n", r.box, r.verdict, r.transport, float64(r.first.Microseconds())/1000)
		}
		_ = w.Flush()
	}
	os.Exit(status)
}
