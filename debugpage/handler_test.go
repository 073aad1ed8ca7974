package debugpage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
)

// get asks for the page.
func (h *handler) get(method, query string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/debug/holdfast?"+query, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// list asks for the page as JSON.
func (h *handler) list(t *testing.T, query string) *Report {
	t.Helper()
	w := h.get(http.MethodGet, "format=json&"+query)
	require.Equal(t, 200, w.Code, w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	r := &Report{}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), r))
	require.Equal(t, 1, r.Schema)
	return r
}

func TestHeaders(t *testing.T) {
	h := newHandler(nil, newRecorder())
	for _, query := range []string{"", "format=json", "id=7", "page=x", "asset=none"} {
		w := h.get(http.MethodGet, query)
		assert.Equal(t, policy, w.Header().Get("Content-Security-Policy"), query)
		assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		assert.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
		assert.Equal(t, "same-origin", w.Header().Get("Cross-Origin-Resource-Policy"))
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	}
	assert.NotContains(t, policy, "unsafe")
	assert.NotContains(t, policy, "*")
	assert.Equal(t, "Accept", h.get(http.MethodGet, "").Header().Get("Vary"))
}

func TestMethods(t *testing.T) {
	h := newHandler(nil, newRecorder())
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
		w := h.get(method, "")
		assert.Equal(t, 405, w.Code)
		assert.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	}
	for _, query := range []string{"", "format=json", "asset=style.css"} {
		got, head := h.get(http.MethodGet, query), h.get(http.MethodHead, query)
		assert.Equal(t, 200, head.Code)
		assert.Zero(t, head.Body.Len())
		assert.Equal(t, got.Header().Get("Content-Type"), head.Header().Get("Content-Type"))
		assert.Equal(t, fmt.Sprint(got.Body.Len()), got.Header().Get("Content-Length"))
	}
}

func TestBadQueriesNameTheField(t *testing.T) {
	h := newHandler(nil, newRecorder())
	for query, want := range map[string]string{
		"state=up":                              `state: "up" is none of connecting, connected,`,
		"kind=server":                           `kind: "server" is none of conn, session`,
		"sort=size":                             `sort: "size" is none of the columns`,
		"page=0":                                `page: "0" is not a number from 1`,
		"page=-1":                               `page: "-1" is not a number from 1`,
		"per=1001":                              `per: "1001" is not a number from 1 to 1000`,
		"per=many":                              `per: "many"`,
		"id=0":                                  `id: "0" is not a number above 0`,
		"id=99999999999999999999":               `id: "99999999999999999999" is not a number above 0`,
		"span=2m":                               `span: "2m" is none of 1m,`,
		"format=xml":                            `format: "xml" is none of html, json`,
		"refresh=0":                             `refresh: "0" is not a number from 1 to 3600, nor off`,
		"q=" + strings.Repeat("x", 201):         "q: 201 bytes are more than 200",
		"q=%ff":                                 "q: is not UTF-8",
		"transport=" + strings.Repeat("x", 201): "transport: 201 bytes are more than 200",
		"sort=" + strings.Repeat("x", 2000):     "sort: \"" + strings.Repeat("x", maxTextLength) + "…",
	} {
		w := h.get(http.MethodGet, query)
		assert.Equal(t, 400, w.Code, query)
		assert.Contains(t, w.Body.String(), want)
		assert.Equal(t, textType, w.Header().Get("Content-Type"))
		assert.Equal(t, 400, h.get(http.MethodGet, query, "Accept", "application/json").Code)
	}
}

func TestUnknownMember(t *testing.T) {
	h := newHandler(nil, newRecorder())
	w := h.get(http.MethodGet, "id=123456789")
	assert.Equal(t, 404, w.Code)
	assert.Contains(t, w.Body.String(), "id: 123456789 is nobody&#39;s")
	assert.Contains(t, w.Header().Get("Content-Type"), "text/html")
	w = h.get(http.MethodGet, "id=123456789&format=json")
	assert.Equal(t, 404, w.Code)
	assert.Contains(t, w.Body.String(), "id: 123456789 is nobody's")
}

func TestAssets(t *testing.T) {
	h := newHandler(nil, newRecorder())
	page := h.get(http.MethodGet, "").Body.String()
	for _, a := range []asset{style, script, icon} {
		w := h.get(http.MethodGet, strings.TrimPrefix(a.url(), "?"))
		assert.Equal(t, 200, w.Code)
		assert.Equal(t, a.body, w.Body.Bytes())
		assert.Equal(t, a.mediaType, w.Header().Get("Content-Type"))
		assert.Equal(t, "private, max-age=31536000, immutable", w.Header().Get("Cache-Control"))
		assert.Contains(t, page, strings.ReplaceAll(a.url(), "&", "&amp;"))
		assert.Equal(t, "no-store", h.get(http.MethodGet, "asset="+a.name+"&v=other").Header().Get("Cache-Control"))
	}
	assert.Equal(t, 404, h.get(http.MethodGet, "asset=../debugpage.go").Code)
	assert.NotContains(t, string(styleBody), "url(")
	assert.NotContains(t, string(styleBody), "@import")
}

func TestAccept(t *testing.T) {
	h := newHandler(nil, newRecorder())
	for accept, want := range map[string]string{
		"":    htmlType,
		"*/*": htmlType,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": htmlType,
		"application/json":                    jsonType,
		"Application/JSON; charset=utf-8":     jsonType,
		"application/json, text/html;q=0.5":   jsonType,
		"text/html, application/json;q=0.9":   htmlType,
		"text/html;q=0.5, application/json":   jsonType,
		"text/html, application/json":         htmlType,
		"application/json, text/html":         jsonType,
		"application/json;q=0":                htmlType,
		"application/json;q=many":             htmlType,
		"text/html;q=0, application/json;q=0": htmlType,
	} {
		assert.Equal(t, want, h.get(http.MethodGet, "", "Accept", accept).Header().Get("Content-Type"), accept)
	}
	assert.Equal(t, jsonType, h.get(http.MethodGet, "format=json", "Accept", "text/html").Header().Get("Content-Type"))
	assert.Equal(t, htmlType, h.get(http.MethodGet, "format=html", "Accept", "application/json").Header().Get("Content-Type"))
}

func TestRefresh(t *testing.T) {
	page := func(o *Options, query string) string {
		return newHandler(o, newRecorder()).get(http.MethodGet, query).Body.String()
	}
	assert.Contains(t, page(nil, ""), `<meta http-equiv="refresh" content="5">`)
	assert.Contains(t, page(nil, "refresh=60"), `data-refresh="60"`)
	for _, never := range []string{page(nil, "refresh=off"), page(&Options{Refresh: -1}, "")} {
		assert.NotContains(t, never, "http-equiv")
		assert.NotContains(t, never, "<script")
		assert.Contains(t, never, ">Refresh</a>")
	}
	assert.PanicsWithError(t, "holdfast: Refresh: 5ms is less than a second", func() { Handler(&Options{Refresh: 5 * time.Millisecond}) })
}

func TestEmptyProcess(t *testing.T) {
	h := newHandler(&Options{Title: "empty one"}, newRecorder())
	body := h.get(http.MethodGet, "").Body.String()
	assert.Contains(t, body, "This process has no Conn and no Session now.")
	assert.Contains(t, body, "<title>empty one: 0 connections</title>")
	assert.Contains(t, h.get(http.MethodGet, "format=json").Body.String(), `"members":[]`)
}

func TestHandlerRecordsTheProcess(t *testing.T) {
	first, second := Handler(nil).(*handler), Handler(&Options{Title: "two"}).(*handler)
	assert.Same(t, first.rec, second.rec, "one recording is enough")
	assert.Contains(t, first.get(http.MethodGet, "").Body.String(), "recorded since "+stamp(first.rec.since))
}

// A principal is shown only where that was asked for.
func TestPrincipalsAreConcealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		defer rec.start()()
		c := newCrowd(t, echo)
		conn := c.join(t, 1, upHost, nil)[0]
		time.Sleep(time.Second)
		shy, open := newHandler(nil, rec), newHandler(&Options{ShowPrincipals: true}, rec)
		id := fmt.Sprintf("id=%d", shy.list(t, "kind=session").Members[0].ID)
		look := func() {
			for _, query := range []string{"", "format=json", id, id + "&format=json"} {
				assert.NotContains(t, shy.get(http.MethodGet, query).Body.String(), "user-0")
				assert.Contains(t, open.get(http.MethodGet, query).Body.String(), "user-0")
			}
		}
		look()
		assert.Empty(t, shy.list(t, "q=user-0").Members, "nor can it be guessed")
		assert.Len(t, open.list(t, "q=user-0").Members, 1)
		require.NoError(t, conn.Close())
		time.Sleep(time.Second)
		look()
	})
}

func TestStatsAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		defer rec.start()()
		c := newCrowd(t, echo)
		conn := c.join(t, 1, downHost, func(_ int, o *holdfast.Options) {
			o.SendBuffer = holdfast.SendBuffer{MaxMessages: 4, MaxBytes: 1 << 20, WhenFull: holdfast.WhenFullDropOldest}
		})[0]
		time.Sleep(time.Second)
		for range 5 {
			require.NoError(t, conn.Send(t.Context(), holdfast.Text, make([]byte, 512)))
		}
		synctest.Wait()
		h := newHandler(nil, rec)
		m := h.list(t, "").Members[0]
		assert.Equal(t, "waiting", m.State)
		assert.Equal(t, "ws://down.example:80/feed/0?token=redacted", m.Endpoint)
		assert.EqualValues(t, []int64{4, 2048, 4, 1 << 20}, []int64{int64(m.Queued), m.QueuedBytes, int64(m.QueueLimit), m.QueueBytesLimit})
		assert.EqualValues(t, 1, m.Dropped)
		assert.EqualValues(t, 4, m.ConsecutiveFailures)
		body := h.get(http.MethodGet, "").Body.String()
		for _, want := range []string{"4 messages", "2 KiB, 100 %", "1 dropped", "4 failures", "server down"} {
			assert.Contains(t, body, want)
		}
		body = h.get(http.MethodGet, fmt.Sprintf("id=%d", m.ID)).Body.String()
		for _, want := range []string{"of 4 and 1 MiB at most: 100 %", "dropped: 1 message", "for 5 ms", "4 attempts, 4 failures counted by Retry", "aria-label=\"In "} {
			assert.Contains(t, body, want)
		}
	})
}

// Pages are asked for while members come, speak and go.
func TestPagesOfAProcessAtWork(t *testing.T) {
	rec := newRecorder()
	defer rec.start()()
	c := newCrowd(t, echo)
	stop := make(chan struct{})
	var asking, working sync.WaitGroup
	h := newHandler(nil, rec)
	for _, query := range []string{"", "format=json", "q=stream&sort=-rtt", "span=1m"} {
		asking.Go(func() {
			for id := 1; ; id++ {
				select {
				case <-stop:
					return
				default:
				}
				q := query
				if q == "span=1m" && len(rec.lastEnded()) > 0 {
					q += fmt.Sprintf("&id=%d", rec.lastEnded()[0].id)
				}
				assert.Contains(t, []int{200, 404}, h.get(http.MethodGet, q).Code)
			}
		})
	}
	conns := c.join(t, 20, upHost, nil)
	for _, conn := range conns {
		working.Go(func() {
			assert.NoError(t, conn.WaitConnected(t.Context()))
			conn.Reconnect()
			assert.NoError(t, conn.WaitConnected(t.Context()))
			assert.NoError(t, conn.Close())
		})
	}
	working.Wait()
	close(stop)
	asking.Wait()
	rec.check(t)
}
