package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// from takes the address of the header From.
func from(r *http.Request) string { return r.Header.Get("From") }

func (w *world) clientFrom(addr, who string) *client {
	c := w.client()
	c.header.Set("From", addr)
	c.header.Set("Who", who)
	return c
}

func TestMaxSessions(t *testing.T) {
	bubble(t, idle, &Options{MaxSessions: 2}, func(w *world) {
		c := w.client()
		c.attachPoll()
		plain := w.plain()
		a := w.client().open()
		assert.Equal(t, 503, a.status)
		assert.NotEmpty(t, a.header.Get("Retry-After"))
		_, err := w.dial(w.client().wsRequest())
		assert.ErrorContains(t, err, "503")
		assert.Equal(t, 200, c.open().status, "that one is open")
		plain.Abort()
		synctest.Wait()
		assert.Equal(t, 200, w.client().open().status)
	})
}

func TestMaxSessionsPerAddress(t *testing.T) {
	bubble(t, idle, &Options{MaxSessionsPerAddress: 2, ClientAddr: from}, func(w *world) {
		for _, addr := range []string{"192.0.2.7", "2001:db8::1"} {
			assert.Equal(t, 200, w.clientFrom(addr, "").open().status)
			assert.Equal(t, 200, w.clientFrom(addr, "").open().status)
			a := w.clientFrom(addr, "").open()
			assert.Equal(t, 429, a.status)
			assert.NotEmpty(t, a.header.Get("Retry-After"))
		}
		assert.Equal(t, 429, w.clientFrom("2001:db8::2", "").open().status, "the same /64")
		assert.Equal(t, 200, w.clientFrom("2001:db8:0:1::1", "").open().status)
		assert.Equal(t, 429, w.clientFrom("::ffff:192.0.2.7", "").open().status)
		assert.Equal(t, 200, w.clientFrom("", "").open().status, "RemoteAddr")
		assert.Equal(t, 200, w.clientFrom("", "").open().status)
		assert.Equal(t, 429, w.clientFrom("192.0.2.1", "").open().status, "which is that")
		time.Sleep(attachTimeout + time.Second)
		assert.Zero(t, w.count())
		assert.Empty(t, w.sessions.perAddress)
		assert.Equal(t, 200, w.clientFrom("192.0.2.7", "").open().status)
	})
}

func TestMaxSessionsPerPrincipal(t *testing.T) {
	parkedBubble(t, &Options{MaxSessionsPerPrincipal: 3, Authenticate: byHeader}, func(w *world, p *parked) {
		lost := w.clientFrom("", "ann")
		l := lost.attachWS(1)
		lostSession := <-p.sessions
		polls := w.clientFrom("", "ann")
		polls.attachPoll()
		ws := w.clientFrom("", "ann")
		l2 := ws.attachWS(1)
		defer l2.Abort()
		require.Equal(t, 429, w.clientFrom("", "ann").open().status, "all have links")
		l.Abort()
		synctest.Wait()
		time.Sleep(time.Second)
		next := w.clientFrom("", "ann")
		assert.Equal(t, 200, next.open().status)
		assert.Equal(t, errEvicted, context.Cause(lostSession.ctx))
		assert.Equal(t, 410, lost.open().status)
		assert.Equal(t, 200, polls.send(1, nil).status)
		time.Sleep(time.Second)
		assert.Equal(t, 200, w.clientFrom("", "ann").open().status, "one that never had a link gives way too")
		assert.Equal(t, 410, next.open().status)
		assert.Equal(t, 3, w.count())
		for range 5 {
			assert.Equal(t, 200, w.clientFrom("", "").open().status, "nobody is not counted")
		}
		_ = l2
	})
}

func TestOpenRate(t *testing.T) {
	bubble(t, idle, &Options{OpenRate: 2, ClientAddr: from}, func(w *world) {
		c := w.clientFrom("192.0.2.7", "")
		for range 10 {
			assert.Equal(t, 200, c.open().status, "the same session again does not count")
		}
		assert.Equal(t, 200, w.clientFrom("192.0.2.7", "").open().status)
		a := w.clientFrom("192.0.2.7", "").open()
		assert.Equal(t, 429, a.status)
		assert.Equal(t, "1", a.header.Get("Retry-After"))
		r := w.clientFrom("192.0.2.7", "").wsRequest()
		r.Session = nil
		_, err := w.dial(r)
		assert.ErrorContains(t, err, "429", "a plain one counts too")
		assert.Equal(t, 200, w.clientFrom("192.0.2.8", "").open().status)
		time.Sleep(500 * time.Millisecond)
		assert.Equal(t, 200, w.clientFrom("192.0.2.7", "").open().status)
		assert.Equal(t, 429, w.clientFrom("192.0.2.7", "").open().status)
	})
}

func TestRate(t *testing.T) {
	start := time.Unix(1000, 0)
	r := rate{perSecond: 0.5}
	assert.Zero(t, r.take("a", start))
	assert.Equal(t, 2*time.Second, r.take("a", start))
	assert.Equal(t, time.Second, r.take("a", start.Add(time.Second)))
	assert.Zero(t, r.take("a", start.Add(2*time.Second)))
	assert.Zero(t, r.take("", start))
	unlimited := rate{perSecond: -1}
	for range 100 {
		assert.Zero(t, unlimited.take("a", start))
	}
	flood := rate{perSecond: 10}
	for i := range 3 * maxBuckets / 2 {
		if flood.take(strconv.Itoa(i), start) > 0 || len(flood.buckets) > maxBuckets {
			require.Fail(t, "a flood of addresses", "%d of them, %d remembered", i, len(flood.buckets))
		}
	}
	for i := range 2000 {
		flood.take(fmt.Sprint("later", i), start.Add(time.Second))
	}
	assert.LessOrEqual(t, len(flood.buckets), 4000, "full ones are forgotten")
}

func TestNetworks(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "192.0.2.7:80": "192.0.2.7", "2001:db8::1": "2001:db8::/64", "[2001:db8::1]:80": "2001:db8::/64",
		"[2001:db8::1]": "2001:db8::/64", "::ffff:192.0.2.7": "192.0.2.7", "fe80::1%eth0": "fe80::/64", "customer 7": "customer 7",
	} {
		assert.Equal(t, want, network(addr), addr)
	}
}

func TestNoLimitsBehindWhatMayBeAProxy(t *testing.T) {
	var log bytes.Buffer
	s := New(idle, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	addr := func(remote string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		return s.clientAddr(r)
	}
	assert.Equal(t, "192.0.2.7", addr("192.0.2.7:1"))
	assert.Equal(t, "2001:db8::/64", addr("[2001:db8::1]:1"))
	assert.Empty(t, log.String())
	for _, private := range []string{"127.0.0.1:1", "[::1]:1", "10.1.2.3:1", "192.168.1.1:1", "[fd00::1]:1", "[fe80::1]:1", "@"} {
		assert.Empty(t, addr(private), private)
	}
	assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("ClientAddr")), "one warning")
}

func TestBudget(t *testing.T) {
	parkedBubble(t, nil, func(w *world, p *parked) {
		w.budget.limit = 250 << 10
		var clients []*client
		var sessions []*Session
		var links []transport.Link
		for range 4 {
			c := w.client()
			links = append(links, c.attachWS(1))
			s := <-p.sessions
			clients, sessions = append(clients, c), append(sessions, s)
		}
		for _, i := range []int{1, 0, 2} { // 1 is without a link for longest
			links[i].Abort()
			synctest.Wait()
			time.Sleep(time.Second)
		}
		for i := range 3 {
			require.NoError(t, sessions[i].Send(context.Background(), 2, make([]byte, 100<<10)))
		}
		time.Sleep(countEvery)
		synctest.Wait()
		assert.Equal(t, 410, clients[1].open().status, "the oldest one without a link gives way")
		assert.Equal(t, 200, clients[0].open().status)
		assert.Equal(t, 200, clients[2].open().status)
		assert.Equal(t, 200, w.client().open().status)

		w.net.Freeze(true)
		require.NoError(t, sessions[3].Send(context.Background(), 2, make([]byte, 300<<10)), "it has a link")
		time.Sleep(time.Second)
		w.net.Freeze(false)
		synctest.Wait()
		a := w.client().open()
		assert.Equal(t, 503, a.status, "nothing is left to end")
		assert.NotEmpty(t, a.header.Get("Retry-After"))
		assert.Equal(t, 410, clients[0].open().status)
		assert.Equal(t, 410, clients[2].open().status)
		assert.NoError(t, sessions[3].ctx.Err())
		links[3].Abort()
	})
}

func TestFloodOfOpensIsBounded(t *testing.T) {
	parkedBubble(t, &Options{ClientAddr: from, MaxSessions: 500}, func(w *world, p *parked) {
		c := w.clientFrom("192.0.2.1", "")
		c.attachPoll()
		s := <-p.sessions
		opened := 0
		for i := range 3000 {
			switch a := w.clientFrom(fmt.Sprintf("198.51.%d.%d", i/2%256, i%3), "").open(); a.status {
			case 200:
				opened++
			default:
				require.Contains(t, []int{429, 503}, a.status)
			}
			require.LessOrEqual(t, w.count(), 500)
		}
		assert.Equal(t, 499, opened)
		assert.Equal(t, 200, c.send(1, c.data("untouched")).status)
		assert.Equal(t, "untouched", receive(t, s))
		time.Sleep(attachTimeout + time.Second)
		assert.Equal(t, 1, w.count())
		w.mu.Lock()
		assert.Len(t, w.sessions.bySID, 1)
		assert.Len(t, w.sessions.byHash, 1)
		assert.Len(t, w.sessions.perAddress, 1)
		assert.Len(t, w.reaper.due, 1)
		w.mu.Unlock()
	})
}

func TestTombstonesAreBounded(t *testing.T) {
	r := newRegistry()
	for i := range maxTombstones + 10 {
		s := &Session{record: &record{sid: fmt.Sprint(i), secret: hashSecret([]byte(fmt.Sprint(i)))}}
		r.add(s)
		r.remove(s, tombstone{recvNext: 1}, time.Time{})
	}
	assert.Len(t, r.bySID, maxTombstones)
	assert.Len(t, r.byHash, maxTombstones)
	r.exhume(time.Now())
	assert.Empty(t, r.bySID)
	assert.Empty(t, r.byHash)
}

func TestNothingRunsWithoutSessions(t *testing.T) {
	bubble(t, idle, &Options{ResumeTTL: time.Minute}, func(w *world) {
		c := w.client()
		c.attachPoll()
		a, err := c.post(context.Background(), "close", nil, nil)
		require.NoError(t, err)
		require.Equal(t, 200, a.status)
		time.Sleep(2 * time.Minute)
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.True(t, w.reaper.at.IsZero(), "no timer")
		assert.Empty(t, w.sessions.bySID)
	})
}
