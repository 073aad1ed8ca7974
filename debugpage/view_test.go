package debugpage

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

func viewOf(t *testing.T, query string) *view {
	t.Helper()
	values, err := url.ParseQuery(query)
	require.NoError(t, err)
	v, err := parseView(values, defaultRefresh)
	require.NoError(t, err)
	return v
}

func TestFilter(t *testing.T) {
	up := &entry{id: 7, kind: kindSession, session: "node.xyz", principal: "Ann", remote: "192.0.2.1:5", subprotocol: "chat.v2",
		stats: holdfast.Stats{State: holdfast.StateConnected, Transport: "longpoll", Endpoint: "ws://a.example/Path"}}
	down := &entry{id: 8, kind: kindConn, stats: holdfast.Stats{State: holdfast.StateWaiting, Endpoint: "ws://b.example/path", LastError: errors.New("Refused by b")}}
	for query, want := range map[string][2]bool{
		"":                          {true, true},
		"state=connected":           {true, false},
		"state=waiting":             {false, true},
		"state=not-connected":       {false, true},
		"state=offline":             {false, false},
		"transport=longpoll":        {true, false},
		"transport=websocket":       {false, false},
		"transport=none":            {false, true},
		"kind=conn":                 {false, true},
		"kind=session":              {true, false},
		"q=PATH":                    {true, true},
		"q=example/path+ann":        {true, false},
		"q=node.xyz":                {true, false},
		"q=192.0.2":                 {true, false},
		"q=chat.v2":                 {true, false},
		"q=refused":                 {false, true},
		"q=refused+nonsense":        {false, false},
		"q=+++":                     {true, true},
		"q=refused&state=connected": {false, false},
		"q=path&kind=conn&state=waiting&transport=none": {false, true},
	} {
		v := viewOf(t, query)
		assert.Equal(t, want, [2]bool{v.matches(up), v.matches(down)}, query)
	}
	ended := &entry{id: 9, kind: kindConn, why: "closed by Bob", stats: holdfast.Stats{State: holdfast.StateClosed}}
	for query, want := range map[string]bool{"state=connected": true, "transport=longpoll": true, "kind=session": false, "q=bob": true, "q=ann": false} {
		assert.Equal(t, want, viewOf(t, query).matchesEnded(ended), query)
	}
}

func TestOrders(t *testing.T) {
	at := time.Unix(1000, 0)
	a := &entry{id: 1, kind: kindConn, since: at, stats: holdfast.Stats{State: holdfast.StateConnected, Transport: "longpoll", Endpoint: "a", RTT: 1,
		Queued: 1, QueueLimit: 10, BytesSent: 1, BytesReceived: 1, Connects: 1, LastError: errors.New("a")}}
	b := &entry{id: 2, kind: kindSession, since: at.Add(-time.Hour), stats: holdfast.Stats{State: holdfast.StateConnected, Transport: "websocket", Endpoint: "b", RTT: 2,
		QueuedBytes: 2, QueueBytesLimit: 10, BytesSent: 2, BytesReceived: 2, Connects: 2, LastError: errors.New("b")}}
	for name, order := range orders {
		if name == "state" {
			continue
		}
		assert.Negative(t, order(a, b), name)
		assert.Positive(t, order(b, a), name)
		assert.Zero(t, order(a, a), name)
	}
	var last int
	for _, s := range []holdfast.State{holdfast.StateWaiting, holdfast.StateOffline, holdfast.StateConnecting, holdfast.StateClosing, holdfast.StateConnected} {
		now := (&entry{stats: holdfast.Stats{State: s}}).trouble()
		assert.GreaterOrEqual(t, now, last)
		last = now
	}
	for _, c := range columns {
		assert.Contains(t, orders, c.sort)
	}
}

func TestShare(t *testing.T) {
	for want, s := range map[float64]holdfast.Stats{
		0:    {},
		0.5:  {Queued: 5, QueueLimit: 10, QueuedBytes: 1, QueueBytesLimit: 10},
		0.25: {Queued: 1, QueueLimit: 10, QueuedBytes: 25, QueueBytesLimit: 100},
		1:    {QueuedBytes: 250, QueueBytesLimit: 100}, // a message that is larger than the buffer
	} {
		assert.Equal(t, want, (&entry{stats: s}).share())
	}
}

func TestLinks(t *testing.T) {
	v := viewOf(t, "q=a+b&state=waiting&page=3&sort=-rtt&format=html&nonsense=1")
	assert.Equal(t, "?page=3&q=a+b&sort=-rtt&state=waiting", v.link())
	assert.Equal(t, "?q=a+b&sort=id&state=waiting", v.link("sort", "id"), "another order begins with its first page")
	assert.Equal(t, "?page=4&q=a+b&sort=-rtt&state=waiting", v.link("page", "4"))
	assert.Equal(t, "?", viewOf(t, "").link())
}

func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		defer rec.start()()
		c := newCrowd(t, echo)
		c.join(t, 20, downHost, nil)
		c.join(t, 7, offlineHost, nil)
		time.Sleep(time.Second)
		h := newHandler(nil, rec)
		seen := map[uint64]bool{}
		for page := 1; page <= 3; page++ {
			r := h.list(t, fmt.Sprintf("per=10&page=%d", page))
			assert.Equal(t, []int{27, 27, page, 3}, []int{r.Total, r.Matched, r.Page, r.Pages})
			assert.Len(t, r.Members, min(10, 27-len(seen)))
			for _, m := range r.Members {
				seen[m.ID] = true
			}
		}
		assert.Len(t, seen, 27)
		r := h.list(t, "per=10&page=99")
		assert.Equal(t, 3, r.Page, "behind the last one")
		assert.Len(t, r.Members, 7)
		r = h.list(t, "state=offline&sort=-id")
		assert.Equal(t, []int{27, 7, 1, 1}, []int{r.Total, r.Matched, r.Page, r.Pages})
		assert.Greater(t, r.Members[0].ID, r.Members[6].ID)
		assert.Equal(t, map[string]int{"offline": 7, "waiting": 20}, r.States)
		assert.Equal(t, map[string]int{"conn": 27}, r.Kinds)
		assert.Equal(t, map[string]int{"": 27}, r.Transports)

		body := h.get(http.MethodGet, "per=10&page=2&q=example&sort=id").Body.String()
		for _, want := range []string{"11 to 20 of 27 that match", `href="?page=3&amp;per=10&amp;q=example&amp;sort=id">Next`, ">Show all</a>",
			`aria-sort="ascending"><a href="?per=10&amp;q=example&amp;sort=-id">Id`, `<option selected>10</option>`} {
			assert.Contains(t, body, want)
		}
		id := fmt.Sprint(h.list(t, "per=10&page=2&sort=id").Members[0].ID)
		link := `href="?id=` + id + `&amp;page=2&amp;per=10&amp;q=example&amp;sort=id"`
		assert.Contains(t, body, link)
		body = h.get(http.MethodGet, "id="+id+"&page=2&per=10&q=example&sort=id").Body.String()
		assert.Contains(t, body, `<h1><a href="?page=2&amp;per=10&amp;q=example&amp;sort=id">`, "the way back")
		assert.Contains(t, h.get(http.MethodGet, "q=nonsense").Body.String(), "The filter lets none of them through.")
		wellFormed(t, body)
		assert.Less(t, strings.Count(body, "\n"), 100)
	})
}
