//go:build linux

package integration

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// measurement is one time to the first message. The table at the end of the run has
// a row for each kind, with the median of its times: -count makes more of them.
type measurement struct {
	box, verdict, transport string
	first                   time.Duration
}

var measured struct {
	sync.Mutex
	kinds []measurement // without first, as they came
	times map[measurement][]time.Duration
}

// measure notes how long a client took to its first message, which no test
// asserts.
func (c *client) measure(box, verdict string) {
	c.t.Helper()
	m := measurement{box, verdict, c.Stats().Transport, c.first}
	c.t.Logf("%s: %s, over %s, first message after %v", m.box, m.verdict, m.transport, m.first.Round(100*time.Microsecond))
	m.first = 0
	measured.Lock()
	defer measured.Unlock()
	if measured.times == nil {
		measured.times = map[measurement][]time.Duration{}
	}
	if measured.times[m] == nil {
		measured.kinds = append(measured.kinds, m)
	}
	measured.times[m] = append(measured.times[m], c.first)
}

func TestMain(m *testing.M) {
	status := m.Run()
	printTimes()
	os.Exit(status)
}

func printTimes() {
	if len(measured.kinds) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "middlebox\tWebSocket\tcarried by\tfirst message, ms\tof")
	for _, kind := range measured.kinds {
		times := measured.times[kind]
		slices.Sort(times)
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%d\n", kind.box, kind.verdict, kind.transport, float64(times[len(times)/2].Microseconds())/1000, len(times))
	}
	_ = w.Flush()
}
