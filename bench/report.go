package main

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// report is everything that was measured.
type report struct {
	Machine  string            `json:"machine"`
	Load     float64           `json:"load"` // of the machine, in the minute before; 0 where it is not known
	Date     string            `json:"date"`
	Took     string            `json:"took"`
	Rounds   int               `json:"rounds"`
	Sample   string            `json:"sample"` // how long each measurement took
	Versions map[string]string `json:"versions"`
	Rows     []*rowReport      `json:"rows"`
	Aims     []aimReport       `json:"aims"`
}

// rowReport holds a row's samples: by subject and metric, in the order of the
// rounds.
type rowReport struct {
	Name     string                          `json:"name"`
	Title    string                          `json:"title"`
	Subjects []string                        `json:"subjects"`
	Samples  map[string]map[string][]float64 `json:"samples"`
}

// aimReport is the ratio that an aim is about.
type aimReport struct {
	Row     string    `json:"row"`
	Metric  string    `json:"metric"`
	Subject string    `json:"subject"`
	Peer    string    `json:"peer,omitempty"` // "" for the metric itself
	AtLeast bool      `json:"at_least"`
	Aim     float64   `json:"aim"`
	Ratios  []float64 `json:"ratios"` // by round
	Median  float64   `json:"median"`
	Reached bool      `json:"reached"`
}

func newReport(set settings) *report {
	r := &report{Machine: machine(), Load: load(), Date: time.Now().Format(time.DateOnly), Rounds: set.rounds, Sample: set.sample.String(),
		Versions: map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go"), "nats-server": versionOf("github.com/nats-io/nats-server/v2")}}
	for _, s := range subjects {
		if s.module != "" {
			r.Versions[s.name] = versionOf(s.module)
		}
	}
	return r
}

// row returns a row's report, nil if it was not measured.
func (r *report) row(name string) *rowReport {
	for _, w := range r.Rows {
		if w.Name == name {
			return w
		}
	}
	return nil
}

func (r *report) add(of *row, s *subject, got sample) {
	w := r.row(of.name)
	if w == nil {
		w = &rowReport{Name: of.name, Title: of.title, Samples: map[string]map[string][]float64{}}
		r.Rows = append(r.Rows, w)
		for _, name := range of.subjects {
			w.Samples[name] = map[string][]float64{}
		}
	}
	for metric, v := range got {
		w.Samples[s.name][metric] = append(w.Samples[s.name][metric], v)
	}
	w.Subjects = w.Subjects[:0]
	for _, name := range of.subjects {
		if len(w.Samples[name]) > 0 {
			w.Subjects = append(w.Subjects, name)
		}
	}
}

// judge fills Aims with those whose row, subject and peer were measured.
func (r *report) judge() {
	for _, w := range r.Rows {
		for name, samples := range w.Samples {
			if len(samples) == 0 {
				delete(w.Samples, name)
			}
		}
	}
	for _, a := range aims {
		w := r.row(a.row)
		if w == nil {
			continue
		}
		ratios := slices.Clone(w.Samples[a.subject][a.metric])
		if a.peer != "" {
			ratios = ratiosOf(ratios, w.Samples[a.peer][a.metric])
		}
		if len(ratios) == 0 {
			continue
		}
		m := median(ratios)
		r.Aims = append(r.Aims, aimReport{a.row, a.metric, a.subject, a.peer, a.atLeast, a.bound, ratios, m,
			a.atLeast && m >= a.bound || !a.atLeast && m <= a.bound})
	}
}

// ratiosOf divides, round by round.
func ratiosOf(a, b []float64) (ratios []float64) {
	for i := range min(len(a), len(b)) {
		ratios = append(ratios, a[i]/b[i])
	}
	return ratios
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// load is how many threads wanted a core, on average over the last minute.
func load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), " ")
	v, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return v
}

// machine describes this machine as far as the system tells.
func machine() string {
	cpu := ""
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value) + ", "
				break
			}
		}
	}
	release := ""
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		release, _, _ = strings.Cut(" "+strings.TrimSpace(string(b)), "-") // the rest is the distribution's
	}
	return cpu + plural(runtime.GOMAXPROCS(0), "core") + ", " + runtime.GOOS + "/" + runtime.GOARCH + release
}
