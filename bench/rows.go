package main

import (
	"context"
	"strings"
)

// Metrics of the samples.
const (
	rate       = "rate"       // messages a second
	p50        = "p50"        // µs
	p99        = "p99"        // µs
	heap       = "heap"       // KiB a connection
	stack      = "stack"      // KiB a connection
	goroutines = "goroutines" // a connection
)

// sample is what one measurement of a subject gave, by metric.
type sample map[string]float64

// row is one measure, taken of several subjects.
type row struct {
	name     string // for -only
	title    string
	metrics  []string
	subjects []string
	run      func(ctx context.Context, c *child, s *subject, set settings) (sample, error)
}

// The subjects of the rows. The large variants are left out where they would make
// no difference: sending what is smaller than 4 KiB.
var (
	sendSmall = []string{nameCoder, nameGorilla, nameGWS, nameGobwas, nameTCP, nameHoldfast}
	sendNATS  = []string{nameCoder, nameGorilla, nameGWS, nameGobwas, nameNATS, nameTCP, nameHoldfast}
	sendLarge = []string{nameCoder, nameGorilla, nameGorillaLarge, nameGWS, nameGobwas, nameTCP, nameHoldfast}
	sendMany  = []string{nameCoder, nameGorilla, nameGWS, nameGobwas, nameHoldfast}
	receiving = []string{nameCoder, nameGorilla, nameGorillaLarge, nameGWS, nameGWSLarge, nameGobwas, nameTCP, nameHoldfast}
	borrowing = []string{nameCoder, nameCoderRead, nameGorilla, nameGorillaLarge, nameGWS, nameGWSLarge, nameGobwas, nameTCP, nameHoldfast}
	idling    = []string{nameCoder, nameGorilla, nameGWS, nameHoldfast}
)

var rows = []row{
	send("send/16B", "send 16 B", 16, 1, false, sendSmall),
	send("send/128B", "send 128 B", 128, 1, false, sendNATS),
	send("send/1KiB", "send 1 KiB", 1<<10, 1, false, sendSmall),
	send("send/16KiB", "send 16 KiB", 16<<10, 1, false, sendLarge),
	send("send/256KiB", "send 256 KiB", 256<<10, 1, false, sendLarge),
	send("send/128B-8", "send 128 B, 8 goroutines", 128, 8, false, sendMany),
	send("send/128B-wss", "send 128 B over wss", 128, 1, true, sendSmall),
	receive("receive/128B-owned", "receive 128 B, owned", 128, true),
	receive("receive/1KiB-owned", "receive 1 KiB, owned", 1<<10, true),
	receive("receive/16KiB-borrowed", "receive 16 KiB, borrowed", 16<<10, false),
	receive("receive/256KiB-borrowed", "receive 256 KiB, borrowed", 256<<10, false),
	echoing("echo/128B", "echo 128 B", 128),
	echoing("echo/16KiB", "echo 16 KiB", 16<<10),
	{"idle", "idle connection", []string{heap, stack, goroutines}, idling, measureIdle},
	send("session/128B", "send 128 B to package server", 128, 1, false, []string{namePlain, nameSession}),
}

func send(name, title string, size, senders int, secure bool, subjects []string) row {
	return row{name, title, []string{rate}, subjects, func(ctx context.Context, c *child, s *subject, set settings) (sample, error) {
		return measureSend(ctx, c, s, sending{size, senders, secure, set.sample})
	}}
}

func receive(name, title string, size int, owned bool) row {
	subjects := receiving
	if !owned {
		subjects = borrowing
	}
	return row{name, title, []string{rate}, subjects, func(ctx context.Context, c *child, s *subject, set settings) (sample, error) {
		return measureReceive(ctx, c, s, size, owned || s.owned, set.sample)
	}}
}

func echoing(name, title string, size int) row {
	return row{name, title, []string{p50, p99}, sendSmall, func(ctx context.Context, c *child, s *subject, set settings) (sample, error) {
		return measureEcho(ctx, c, s, size, set.sample)
	}}
}

// aim is a ratio to reach: subject to peer, in a row's metric. Without a peer it
// bounds the metric itself.
type aim struct {
	row, metric   string
	subject, peer string
	atLeast       bool // or at most
	bound         float64
}

var aims = []aim{
	{"send/16B", rate, nameHoldfast, nameGorilla, true, 35},
	{"send/128B", rate, nameHoldfast, nameGorilla, true, 25},
	{"send/1KiB", rate, nameHoldfast, nameGorilla, true, 6},
	{"send/128B", rate, nameHoldfast, nameTCP, true, 0.3},
	{"send/128B", rate, nameHoldfast, nameNATS, true, 1.5},
	{"send/16KiB", rate, nameHoldfast, nameGorilla, true, 2},
	{"send/256KiB", rate, nameHoldfast, nameGorilla, true, 1.4},
	{"send/128B-8", rate, nameHoldfast, nameCoder, true, 40},
	{"send/128B-wss", rate, nameHoldfast, nameCoder, true, 12},
	{"receive/128B-owned", rate, nameHoldfast, nameGWS, true, 1},
	{"receive/128B-owned", rate, nameHoldfast, nameGorilla, true, 1.8},
	{"receive/1KiB-owned", rate, nameHoldfast, nameGorilla, true, 1.9},
	{"receive/16KiB-borrowed", rate, nameHoldfast, nameCoder, true, 3.5},
	{"receive/16KiB-borrowed", rate, nameHoldfast, nameCoderRead, true, 3.5},
	{"receive/256KiB-borrowed", rate, nameHoldfast, nameCoder, true, 3},
	{"receive/256KiB-borrowed", rate, nameHoldfast, nameCoderRead, true, 3},
	{"echo/128B", p50, nameHoldfast, nameCoder, false, 1.25},
	{"echo/16KiB", p50, nameHoldfast, nameCoder, false, 0.6},
	{"idle", heap, nameHoldfast, nameCoder, false, 1.25},
	{"idle", goroutines, nameHoldfast, "", false, 2},
	{"session/128B", rate, nameSession, namePlain, true, 0.8},
}

// chosen are the subjects of a row that -only lets through.
func (r *row) chosen(set settings) []*subject {
	var all []*subject
	for _, name := range r.subjects {
		if set.only.MatchString(r.name + "/" + strings.ReplaceAll(name, " ", "-")) {
			all = append(all, subjectNamed(name))
		}
	}
	return all
}
