package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast/integration/internal/page"
	"github.com/holdfast-ws/holdfast/integration/internal/simulation"
)

// markdown is what storms.md tells of the results, beside what the simulation says
// of as many clients.
func markdown(p *plan, results []*result) string {
	var rows [][]string
	for i, r := range results {
		o := simulation.Run(simulation.Config{Clients: p.clients, Policy: p.policies[i], Outage: p.down.Truncate(simulation.Step), Spread: 100 * time.Millisecond, MaxRetries: -1, Seed: 1})
		rows = append(rows, []string{r.Policy, page.Grouped(r.Attempts), page.Grouped(r.PeakSecond), page.Grouped(r.PeakStep), inSeconds(r.Back99), inSeconds(r.BackAll),
			page.Grouped(o.PeakAccepts) + ", " + inSeconds(o.Back99)})
	}
	table := page.Markdown([]string{"delays", "attempts", "most accepts in 1 s", "in 0.1 s", "99 % back after", "all back after", "simulated: most in 1 s, 99 % back after"}, rows...)
	return table + fmt.Sprintf("\n%s clients, the server down for %v s, by one run of `go run ./herd`, with %s on %s.\n", page.Grouped(p.clients), p.down.Seconds(), runtime.Version(), machine())
}

func inSeconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// machine is this one, in a few words.
func machine() string {
	words := fmt.Sprintf("%s/%s", runtime.GOOS, runtime.GOARCH)
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		version, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-")
		words = "Linux " + version
	}
	words += fmt.Sprintf(", %d CPUs", runtime.NumCPU())
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(info), "model name")
		model, _, _ := strings.Cut(rest, "\n")
		if model = strings.Trim(model, "\t :"); model != "" {
			words += " (" + model + ")"
		}
	}
	return words
}
