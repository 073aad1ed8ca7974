package debugpage

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast"
)

var midnight = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)

func after(seconds int) time.Time { return midnight.Add(time.Duration(seconds) * time.Second) }

// lifeOf is a member with some events, made at midnight.
func lifeOf(events ...happening) *detailed {
	d := &detailed{recorded: true}
	d.id, d.kind, d.since = 1, kindConn, midnight
	d.from, d.history.state = midnight, holdfast.StateConnecting
	d.events = events
	return d
}

func at(seconds int, kind holdfast.EventKind, state holdfast.State, transport string) happening {
	return happening{at: after(seconds).UnixNano(), kind: kind, state: state, transport: transport}
}

// told is bands as text.
func told(bands []band) (list []string) {
	for _, b := range bands {
		list = append(list, strings.TrimSpace(fmt.Sprintf("%v-%v %s %s", b.from.Sub(midnight).Seconds(), b.to.Sub(midnight).Seconds(), b.state, b.carrier)))
	}
	return list
}

var life = []happening{
	at(0, holdfast.EventConnecting, holdfast.StateConnecting, "websocket"),
	at(2, holdfast.EventConnected, holdfast.StateConnected, "longpoll"),
	at(2, holdfast.EventFellBack, holdfast.StateConnected, "longpoll"),
	at(7, holdfast.EventAttemptFailed, holdfast.StateConnected, "websocket"), // a probe
	at(10, holdfast.EventUpgraded, holdfast.StateConnected, "websocket"),
	at(20, holdfast.EventDisconnected, holdfast.StateWaiting, "websocket"),
	at(20, holdfast.EventWaiting, holdfast.StateWaiting, "websocket"),
	at(25, holdfast.EventConnecting, holdfast.StateConnecting, "websocket"),
	at(26, holdfast.EventAttemptFailed, holdfast.StateOffline, "websocket"),
	at(26, holdfast.EventOffline, holdfast.StateOffline, ""),
	at(40, holdfast.EventConnected, holdfast.StateConnected, "websocket"),
}

func TestBands(t *testing.T) {
	d := lifeOf(life...)
	assert.Equal(t, []string{"0-2 connecting", "2-10 connected longpoll", "10-20 connected websocket", "20-25 waiting", "25-26 connecting",
		"26-40 offline", "40-100 connected websocket"}, told(d.bands(midnight, after(100))))
	assert.Equal(t, []string{"15-20 connected websocket", "20-25 waiting", "25-26 connecting", "26-30 offline"}, told(d.bands(after(15), after(30))), "a part of it")

	d.events = life[5:]
	d.from, d.history.state, d.carrier = after(10), holdfast.StateConnected, "websocket"
	assert.Equal(t, []string{"0-10 unrecorded", "10-20 connected websocket", "20-25 waiting"}, told(d.bands(midnight, after(25))), "the beginning is not known")

	d.events = nil
	assert.Equal(t, []string{"0-10 unrecorded", "10-25 connected websocket"}, told(d.bands(midnight, after(25))), "nothing has happened since")
	d.recorded = false
	assert.Equal(t, []string{"0-25 unrecorded"}, told(d.bands(midnight, after(25))))

	back := lifeOf(at(10, holdfast.EventConnected, holdfast.StateConnected, "x"), at(5, holdfast.EventDisconnected, holdfast.StateWaiting, "x"))
	assert.Equal(t, []string{"0-10 connecting", "10-20 waiting"}, told(back.bands(midnight, after(20))), "a clock that was set back does no harm")
}

func TestClosingKeepsItsLink(t *testing.T) {
	d := lifeOf(at(1, holdfast.EventConnected, holdfast.StateConnected, "websocket"), at(5, holdfast.EventGap, holdfast.StateClosing, "websocket"),
		at(6, holdfast.EventDisconnected, holdfast.StateClosing, "websocket"))
	assert.Equal(t, []string{"0-1 connecting", "1-5 connected websocket", "5-6 closing websocket", "6-9 closing"}, told(d.bands(midnight, after(9))))
}

// picture is the timeline's HTML.
func picture(d *detailed, query string, t *testing.T, now time.Time) string {
	p := &page{}
	p.timeline(viewOf(t, query), d, now)
	wellFormed(t, string(p.b))
	return string(p.b)
}

func TestPicture(t *testing.T) {
	d := lifeOf(life...)
	s := picture(d, "", t, after(1000))
	assert.Contains(t, s, `aria-label="In 16 min 40 s: connecting 3 s (0.3 %), connected 16 min 18 s (97.8 %), waiting 5 s (0.5 %), offline 14 s (1.4 %), 11 events"`)
	assert.Equal(t, len(life), strings.Count(s, `<g class="mark">`))
	assert.Contains(t, s, `<title>2026-01-02 00:00:20 UTC: disconnected</title><line class="m-bad" x1="20" x2="20" y1="60" y2="76"/>`)
	assert.Contains(t, s, `<rect class="f-connected" x="40" width="960" y="0" height="38"><title>connected for 16 min, from 2026-01-02 00:00:40 UTC to 00:16:40</title>`)
	assert.Contains(t, s, `<rect class="f-waiting" x="20" width="5" `)
	assert.Contains(t, s, `<rect class="f-longpoll" x="2" width="8" y="42" height="14">`)
	assert.Contains(t, s, `<rect class="f-connecting" x="24.2" width="2.5" `, "a second of 1,000 is still to be seen")
	assert.Contains(t, s, `<span>00:00:00</span><span>00:04:10</span><span>00:08:20</span><span>00:12:30</span><span>00:16:40</span>`)

	s = picture(d, "span=1m", t, after(90))
	assert.Contains(t, s, `aria-label="In 1 min: `)
	assert.Equal(t, 1, strings.Count(s, `<g class="mark">`), "the others were before")
	assert.Contains(t, s, `aria-current="true">Last minute</span>`)

	d.ended = after(60)
	assert.Contains(t, picture(d, "", t, after(1000)), `aria-label="In 1 min: `, "it ends when the member has ended")
	assert.Contains(t, picture(lifeOf(), "", t, midnight), `0 events"`, "of no time at all")
	assert.Contains(t, picture(lifeOf(), "", t, midnight.Add(-time.Hour)), `0 events"`)
}

func TestSeverity(t *testing.T) {
	for kind := holdfast.EventConnecting; kind <= holdfast.EventClosed; kind++ {
		h := happening{kind: kind}
		switch severity(&h) {
		case good:
			assert.Contains(t, []string{"connected", "upgraded", "online"}, kind.String())
		case routine:
			assert.Contains(t, []string{"connecting", "waiting", "network changed", "fell back"}, kind.String())
		}
	}
	assert.Equal(t, routine, severity(&happening{kind: holdfast.EventClosed, closedHere: true}))
	assert.Equal(t, bad, severity(&happening{kind: holdfast.EventClosed}))
}

func TestSparkline(t *testing.T) {
	draw := func(rtts ...float32) string {
		p := &page{}
		p.sparkline(rtts)
		return string(p.b)
	}
	assert.Empty(t, draw())
	assert.Empty(t, draw(5))
	assert.Equal(t, `<svg class="spark" viewBox="0 0 60 16" preserveAspectRatio="none" role="img"><title>The last 3: 0 µs at least, 50 ms in the middle, 100 ms at most</title>`+
		`<polyline points="0,16 30,1.2 60,8.6"/></svg>`, draw(0, 100, 50))
	assert.Contains(t, draw(0, 0), `points="0,16 60,16"`)
}

func TestFormats(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 µs", 400 * time.Nanosecond: "0 µs", 1500 * time.Nanosecond: "2 µs", 999 * time.Microsecond: "999 µs", 1234 * time.Microsecond: "1.23 ms",
		45600 * time.Microsecond: "45.6 ms", 999400 * time.Microsecond: "999 ms", 999900 * time.Microsecond: "1 s", 1500 * time.Millisecond: "1.5 s",
		12 * time.Second: "12 s", 60 * time.Second: "1 min", 3599500 * time.Millisecond: "1 h", 3*time.Hour + 4*time.Minute + 5*time.Second: "3 h 4 min",
		49 * time.Hour: "2 d 1 h", -time.Second: "0 µs",
	} {
		assert.Equal(t, want, span(d))
	}
	assert.Equal(t, "3 s", age(3400*time.Millisecond))
	assert.Equal(t, "400 ms", age(400*time.Millisecond))
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "0.98 KiB", 1024: "1 KiB", 1536: "1.5 KiB", 10 << 20: "10 MiB", 1<<40 + 1<<39: "1.5 TiB", 1 << 60: "1048576 TiB"} {
		assert.Equal(t, want, size(n))
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		assert.Equal(t, want, count(n))
	}
	for f, want := range map[float64]string{0: "0 %", 0.0001: "< 0.1 %", 0.001: "0.1 %", 0.05: "5.0 %", 0.5: "50 %", 0.973: "97.3 %", 0.99999: "100 %", 1: "100 %"} {
		assert.Equal(t, want, share(f))
	}
	p := &page{}
	for _, f := range []float64{0, 10, 100, 1.25, 99.96} {
		p.num(f)
		p.raw(" ")
	}
	assert.Equal(t, "0 10 100 1.2 100 ", string(p.b))
}
