package demo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

func uncolored(s string) string { return sgr.ReplaceAllString(s, "") }

// moment is a sample in the middle of a run of 20 s.
func moment() sample {
	return sample{
		at: 7200 * time.Millisecond,
		marks: []mark{{"reset", time.Second}, {"offline", 4 * time.Second}, {"close1012", 4300 * time.Millisecond},
			{"freeze", 7 * time.Second}},
		lanes: []laneSample{
			{name: "at least once", cell: cellConnected, state: holdfast.StateConnected, transport: websocket, rtt: 412 * time.Microsecond, queued: 3, sent: 98, received: 101},
			{name: "at most once", cell: cellRetrying, state: holdfast.StateWaiting, attempt: 3, left: 412 * time.Millisecond, queued: 41, sent: 20, received: 7},
			{name: "exactly once", cell: cellFallback, state: holdfast.StateConnected, transport: "longpoll", rtt: 2 * time.Millisecond, sent: 99, received: 99},
		},
	}
}

// drawn is the picture at the end of its moment.
func drawn(width int) []string {
	s := newScreen(io.Discard, allFaults(42), func() int { return width })
	first := repeat(cellConnected, 40, cellOffline, 3, cellRetrying, 5, cellConnected, 20, cellSilent, 4)
	s.cells = [][]cell{first, repeat(cellConnected, 72), repeat(cellConnected, 60, cellFallback, 12)}
	lines := s.picture(moment(), width)
	for i := range lines {
		lines[i] = strings.TrimRight(uncolored(lines[i]), " ")
	}
	return lines
}

func repeat(pairs ...any) (cells []cell) {
	for i := 0; i < len(pairs); i += 2 {
		for range pairs[i+1].(int) {
			cells = append(cells, pairs[i].(cell))
		}
	}
	return cells
}

func TestPicture(t *testing.T) {
	assert.Equal(t, []string{
		"",
		" Holdfast demo, seed 42, fault: freeze                            7.2 s of 20 s",
		"",
		" at least once  ● connected, websocket    rtt 0.4 ms  queue 3     ↑ 98/s ↓101/s",
		" ███████████████░░▒▒███████▓▓▓",
		" at most once   ○ waiting #3 in 412 ms    rtt -       queue 41    ↑ 20/s ↓  7/s",
		" █████████████████████████████",
		" exactly once   ● connected, longpoll     rtt 2.0 ms  queue 0     ↑ 99/s ↓ 99/s",
		" ███████████████████████▄▄▄▄▄▄",
		"    ▲reset      ▲offline    ▲freeze",
		"                 ▲close1012",
		" █ connected  ▄ long polling  ▓ silent  ▒ retrying  ░ offline",
	}, drawn(80))
}

func TestPictureFitsAnyWidth(t *testing.T) {
	for width := minWidth; width <= 250; width++ {
		lines := drawn(width)
		for _, l := range lines {
			assert.LessOrEqual(t, columns(l), width, "%q at %d", l, width)
		}
		assert.Contains(t, lines[3], "● connected", width)
		assert.Contains(t, lines[5], "○ waiting #3 in 412 ms", width)
		if width >= 80 {
			assert.Contains(t, lines[5], "queue 41", width)
		}
	}
	assert.Len(t, []rune(drawn(160)[6]), 1+158*72/200+1)
}

func TestBarShowsTheWorstOfEachCell(t *testing.T) {
	bar := func(cells []cell, width int) string { return uncolored(drawBar(cells, width, 10*time.Second)) }
	cells := repeat(cellConnected, 100)
	cells[55] = cellRetrying
	assert.Equal(t, "█████▒████", bar(cells, 10))
	cells[56] = cellSilent
	assert.Equal(t, "█████▓████", bar(cells, 10))
	assert.Equal(t, "█████", bar(cells[:50], 10))
	assert.Empty(t, bar(nil, 10))
	assert.Equal(t, 300, columns(bar(cells, 300)), "more columns than samples")
	assert.Equal(t, 10, columns(bar(append(cells, cells...), 10)), "longer than planned")
}

func TestMarksGiveWay(t *testing.T) {
	at := func(s ...int) (marks []mark) {
		for i, s := range s {
			marks = append(marks, mark{fmt.Sprintf("fault%d", i), time.Duration(s) * time.Second})
		}
		return marks
	}
	lines := drawMarks(at(0, 1, 2, 9, 10), 30, 10*time.Second)
	assert.Equal(t, "▲fault0                ▲fault3", uncolored(lines[0]))
	assert.Equal(t, "   ▲fault1             ▲fault4", uncolored(lines[1]))
}

func TestScreenRedraws(t *testing.T) {
	var b bytes.Buffer
	s := newScreen(&b, allFaults(42), func() int { return 80 })
	s.show(moment(), []entry{{at: 7 * time.Second, text: "freeze: nothing"}})
	first := b.String()
	assert.True(t, strings.HasPrefix(first, hideCursor+noWrap))
	assert.Contains(t, uncolored(first), "   7.00  ▼ freeze: nothing\n\n Holdfast demo")
	height := strings.Count(first, "\n") - 1 // but the log's line

	b.Reset()
	s.show(moment(), []entry{{at: 7 * time.Second, who: "at most once", text: strings.Repeat("long ", 50), mood: bad}})
	second := b.String()
	assert.True(t, strings.HasPrefix(second, fmt.Sprintf("\r\x1b[%dA\x1b[J", height)), "%q", second)
	log, _, _ := strings.Cut(uncolored(second), "\n")
	assert.LessOrEqual(t, columns(strings.TrimPrefix(log, fmt.Sprintf("\r\x1b[%dA\x1b[J", height))), 80)

	b.Reset()
	s.end(&tally{})
	assert.True(t, strings.HasPrefix(b.String(), wrap+showCursor))
}

func TestPlainHasNoEscapes(t *testing.T) {
	var b bytes.Buffer
	p := newPlain(&b, allFaults(42))
	p.show(moment(), []entry{{at: 1500 * time.Millisecond, text: "reset: now"}, {at: 1600 * time.Millisecond, who: "at most once", text: "connected", mood: good}})
	p.show(moment(), nil) // no status again within the same two seconds
	assert.Equal(t, `Holdfast demo, 20s, seed 42
   1.500  FAULT          reset: now
   1.600  at most once   connected
   7.200  at least once  = connected, websocket   rtt 0.4 ms  queue 3    sent 98/s received 101/s
   7.200  at most once   = waiting #3 in 412 ms   rtt -       queue 41   sent 20/s received 7/s
   7.200  exactly once   = connected, longpoll    rtt 2.0 ms  queue 0    sent 99/s received 99/s
`, b.String())
	tl, output := play(t, always, allFaults(2))
	assert.NotContains(t, output, "\x1b")
	b.Reset()
	tl.report(&b, true)
	assert.Contains(t, b.String(), "\x1b[32m✓\x1b[0m")
	assert.True(t, strings.HasSuffix(output, uncolored(b.String())), "the same text")
}

func TestViewIsPlainForWhatIsNoTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	require.NoError(t, err)
	defer f.Close()
	for _, w := range []io.Writer{f, io.Discard} {
		assert.IsType(t, &plain{}, newView(w, allFaults(1)))
	}
}

func TestLogText(t *testing.T) {
	start := time.Now()
	j := newJournal(start)
	lost := func(e *holdfast.CloseError, n int) holdfast.Event {
		return holdfast.Event{Kind: holdfast.EventDisconnected, Count: n, Err: e}
	}
	for _, e := range []holdfast.Event{
		{Kind: holdfast.EventConnecting, Attempt: 1},
		{Kind: holdfast.EventConnected, Epoch: 1},
		lost(&holdfast.CloseError{Code: 1006, Err: io.EOF}, 3),
		{Kind: holdfast.EventWaiting, Delay: 120 * time.Millisecond},
		{Kind: holdfast.EventAttemptFailed, Attempt: 1, Err: &holdfast.DialError{Class: holdfast.ClassOverloaded, StatusCode: 503, RetryAfter: time.Second}},
		{Kind: holdfast.EventWaiting, Delay: 1200 * time.Millisecond},
		{Kind: holdfast.EventConnected, Epoch: 2},
		{Kind: holdfast.EventGap, Epoch: 2},
		lost(&holdfast.CloseError{Code: 1012, Remote: true}, 0),
		{Kind: holdfast.EventConnecting},
		{Kind: holdfast.EventConnected, Epoch: 3},
		lost(&holdfast.CloseError{Code: 1006, Err: &net.OpError{Err: os.NewSyscallError("read", syscall.ECONNRESET)}}, 1),
		{Kind: holdfast.EventOffline},
		{Kind: holdfast.EventOnline},
		{Kind: holdfast.EventOffline},
		{Kind: holdfast.EventAttemptFailed, Attempt: 2, Err: &holdfast.DialError{Class: holdfast.ClassServerDown}},
		{Kind: holdfast.EventConnected, Epoch: 3, Resumed: true, Transport: "longpoll"},
		{Kind: holdfast.EventFellBack, Transport: "longpoll", Err: &holdfast.DialError{Phase: holdfast.PhaseHandshake, Class: holdfast.ClassBlocked, StatusCode: 403}},
		{Kind: holdfast.EventAttemptFailed, State: holdfast.StateConnected, Err: &holdfast.DialError{Class: holdfast.ClassBlocked}},
		{Kind: holdfast.EventUpgraded},
		{Kind: holdfast.EventFellBack, Transport: "longpoll", Err: &holdfast.DialError{Class: holdfast.ClassBlocked}},
		{Kind: holdfast.EventClosed, Err: errors.Join(holdfast.ErrRetriesExhausted)},
	} {
		e.Time = start
		if e.Transport == "" {
			e.Transport = websocket
		}
		j.event("x", e)
	}
	var texts []string
	for _, e := range j.take() {
		texts = append(texts, e.text)
	}
	assert.Equal(t, []string{
		"connected",
		"link lost, EOF without a close frame, 3 unproven, next try in 120 ms",
		"attempt 1 failed: overloaded, status 503, Retry-After 1.00 s, next try in 1.20 s",
		"connected, epoch 2",
		"closed by the server, 1012 service restart",
		"connected, epoch 3",
		"offline, 1 unproven, waiting for the network",
		"the network is back",
		"offline, waiting for the network",
		"attempt 2 failed: server down",
		"connected, the session goes on, longpoll",
		"fell back on longpoll: blocked, status 403",
		"websocket still fails: blocked",
		"climbed back to websocket",
		"longpoll came first, as WebSocket has failed here before",
		"ended: retries exhausted",
	}, texts)
	assert.Empty(t, j.take())
}
