package debugpage

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
	"github.com/holdfast-ws/holdfast/server"
)

// newCrowdOf1000 makes 400 Conns that are connected, a fifth of them polling, their
// 400 sessions, and 200 Conns that are not connected.
func newCrowdOf1000(t testing.TB) *crowd {
	c := newCrowd(t, echo)
	up := c.join(t, 400, upHost, func(i int, o *holdfast.Options) {
		if i%5 == 0 {
			polling(o)
		}
	})
	down := c.join(t, 80, downHost, nil)
	c.join(t, 60, silentHost, nil)
	offline := c.join(t, 60, offlineHost, nil)
	settle(t, up, holdfast.StateConnected)
	settle(t, offline, holdfast.StateOffline)
	settle(t, down, holdfast.StateWaiting)
	return c
}

// bustle gives the crowd something to show: messages, lost links, round trips.
func (c *crowd) bustle(t *testing.T, rec *recorder) {
	for i, conn := range c.conns[:480] {
		for range i % 13 {
			require.NoError(t, conn.Send(context.Background(), holdfast.Binary, make([]byte, 7*i)))
		}
	}
	for range 3 {
		time.Sleep(50 * time.Millisecond)
		for _, conn := range c.conns[:40] {
			conn.Reconnect()
		}
		settle(t, c.conns[:40], holdfast.StateConnected)
	}
	c.net.Reset()
	settle(t, c.conns[:400], holdfast.StateConnected)
	for _, m := range registry.Members() {
		if s, _ := statsOf(m); s.State != holdfast.StateConnected {
			continue
		}
		for i := range 60 * int(m.ID%3) / 2 {
			rec.RTT(m, time.Duration(10000+int(m.ID)*i%1700+i*i%900)*time.Microsecond)
		}
	}
}

// end ends n of the Conns, and their sessions.
func (c *crowd) end(t *testing.T, n int) {
	for _, conn := range c.conns[400-n : 400] {
		_ = conn.Close()
		<-conn.Done()
	}
	require.Eventually(t, func() bool {
		sessions := 0
		for _, m := range registry.Members() {
			if _, ok := m.Value.(*server.Session); ok {
				sessions++
			}
		}
		return sessions == 400-n
	}, 10*time.Second, time.Millisecond)
}

const hostile = `"'><img src=x onerror="document.title='broken'"><script>document.title='broken'</script>&lt;`

func TestInChromium(t *testing.T) {
	b := startBrowser(t)
	rec := newRecorder()
	defer rec.start()()
	c := newCrowdOf1000(t)
	c.bustle(t, rec)
	c.join(t, 1, upHost+"/'%22><script>", func(_ int, o *holdfast.Options) { // its principal and close reason are hostile too
		o.Header.Set("X-User", hostile)
	})
	settle(t, c.conns[600:], holdfast.StateConnected)
	require.NoError(t, c.conns[600].CloseWith(context.Background(), 4000, hostile))
	c.end(t, 6)

	mux := http.NewServeMux()
	page := newHandler(&Options{Title: "ticker-7 " + hostile[:40], Refresh: time.Second, ShowPrincipals: true}, rec)
	mux.Handle("/debug/holdfast", page)
	mux.Handle("/slash/", page)
	mux.HandleFunc("/wrong", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		fmt.Fprint(w, `<!DOCTYPE html><title>x</title><p style="color:red">x</p><script>document.title = "ran"</script>`)
	})
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	web := httptest.NewServer(mux)
	defer web.Close()
	url := web.URL + "/debug/holdfast"
	b.style(1280, "light")
	b.open(web.URL + "/wrong")
	require.GreaterOrEqual(t, len(b.faults()), 2, "a violation of the policy is seen")
	assert.Equal(t, "x", b.eval("document.title"))

	count := func(selector string) int {
		return int(b.eval(fmt.Sprintf("document.querySelectorAll(%q).length", selector)).(float64))
	}
	text := func(selector string) string {
		return fmt.Sprint(b.eval(fmt.Sprintf("document.querySelector(%q).textContent", selector)))
	}
	// The browser's own Conn is the last of them.
	b.open(url)
	assert.Equal(t, "ticker-7 "+hostile[:40]+": 989 connections", b.eval("document.title"))
	assert.Equal(t, "ticker-7 "+hostile[:40], text("h1"))
	assert.Equal(t, 100, count("section:first-of-type tbody tr"))
	assert.Contains(t, text(".range"), "1 to 100 of 989")
	for _, chip := range []string{"60connecting", "789connected", "80waiting", "60offline", "595Conns", "394Sessions"} {
		assert.Contains(t, strings.ReplaceAll(text(".counts"), " ", ""), strings.ReplaceAll(chip, " ", ""))
	}
	assert.Equal(t, "waiting", text("tbody .state"), "trouble comes first")
	assert.NotContains(t, b.eval("document.documentElement.outerHTML"), "s3cret")
	assert.Equal(t, true, b.eval("document.documentElement.scrollWidth <= innerWidth"), "nothing hangs out at the right")
	assert.NotEqual(t, "rgba(0, 0, 0, 0)", b.eval(`getComputedStyle(document.body).backgroundColor`), "the style sheet is in force")
	light := b.eval(`getComputedStyle(document.body).backgroundColor`)
	b.shoot("list-1280-light", 1200)

	// It refreshes in place.
	b.eval(`window.mark = 1; document.getElementById("live").textContent = "old"; 1`)
	b.await(`document.getElementById("live").textContent !== "old"`)
	assert.EqualValues(t, 1, b.eval("window.mark"), "without a new page")
	b.eval(`document.querySelector("input[name=q]").focus(); document.querySelector("input[name=q]").value = "half a wo"; document.getElementById("live").textContent = "old"; 1`)
	time.Sleep(1200 * time.Millisecond)
	assert.Equal(t, "old", text("#live"), "but not while somebody types")

	// The form filters.
	b.eval(`document.querySelector("input[name=q]").value = "stream.example FEED/7"; document.querySelector("select[name=kind]").value = "session"; document.querySelector("form").requestSubmit(); 1`)
	b.loaded()
	assert.Equal(t, 11, count("section:first-of-type tbody tr"), "7 and 70 to 79")
	assert.Contains(t, text(".range"), "All 11 that match")
	assert.Equal(t, "session", b.eval(`document.querySelector("select[name=kind]").value`))
	b.eval(`document.querySelector("a.chip[aria-current]").click(); 1`)
	b.loaded()
	assert.Equal(t, 22, count("section:first-of-type tbody tr"), "the chip takes the filter off")

	// Columns sort, pages turn.
	b.open(url + "?per=250&refresh=off")
	assert.Equal(t, 0, count("script"), "it is turned off")
	for range 2 {
		b.eval(`document.querySelector("th.c-connects a").click(); 1`)
		b.loaded()
	}
	assert.Equal(t, "0", text("tbody .c-connects"))
	b.eval(`[...document.querySelectorAll(".pages a")].find(a => a.textContent === "Last").click(); 1`)
	b.loaded()
	assert.Contains(t, text(".range"), "751 to 989 of 989")
	assert.Equal(t, true, b.eval(`(n => n.length === 239 && n.every((x, i) => i === 0 || n[i - 1] <= x))([...document.querySelectorAll("section:first-of-type td.c-connects")].map(td => Number(td.textContent)))`))
	assert.Equal(t, 14, count(".ended tbody tr"))
	assert.Contains(t, text(".ended"), "closed by the peer: 4000 private use "+fmt.Sprintf("%q", hostile))

	// A link leads to a member, and back.
	b.eval(`document.querySelector(".ended tbody a").click(); 1`)
	b.loaded()
	assert.Contains(t, text("h1"), "closed")
	b.open(url + "?sort=-connects&kind=conn")
	b.eval(`document.querySelector("tbody a").click(); 1`)
	b.loaded()
	assert.Contains(t, text("h1"), "Conn ")
	assert.Greater(t, count(".timeline rect"), 9)
	assert.Equal(t, count(".mark"), count(".events tbody tr"))
	assert.Contains(t, text(".mark title"), "connecting: attempt 1")
	assert.Contains(t, b.eval(`document.querySelector(".timeline svg").getAttribute("aria-label")`), "connected")
	b.shoot("detail-1280-light", 1500)
	b.eval(`document.querySelector("h1 a").click(); 1`)
	b.loaded()
	assert.Equal(t, "?kind=conn&sort=-connects", b.eval("location.search"))

	// The JSON is there, and the path may end with a slash.
	b.open(web.URL + "/slash/")
	assert.Equal(t, 100, count("section:first-of-type tbody tr"))
	assert.EqualValues(t, 989, b.eval(`fetch(location.href, {headers: {Accept: "application/json"}}).then(r => r.json()).then(r => r.total)`))

	b.style(1280, "dark")
	b.open(url)
	assert.NotEqual(t, light, b.eval(`getComputedStyle(document.body).backgroundColor`), "dark is another colour")
	b.shoot("list-1280-dark", 1200)
	for _, scheme := range []string{"light", "dark"} {
		b.style(400, scheme)
		b.open(url + "?sort=-connects")
		assert.Equal(t, true, b.eval("document.documentElement.scrollWidth <= innerWidth"), "nothing hangs out at the right")
		b.shoot("list-400-"+scheme, 1500)
		b.eval(`document.querySelector("tbody a").click(); 1`)
		b.loaded()
		assert.Equal(t, true, b.eval("document.documentElement.scrollWidth <= innerWidth"), "nothing hangs out at the right")
		b.shoot("detail-400-"+scheme, 1500)
	}

	// Without scripts it refreshes too.
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	b.open(url + "?kind=conn")
	b.loaded()
	assert.Equal(t, "?kind=conn", b.eval("location.search"))
	assert.Empty(t, b.faults(), "no page has violated the policy, nor failed")
	for _, r := range b.requests {
		assert.True(t, strings.HasPrefix(r, web.URL+"/") || r == "about:blank", "%s is not the page's own", r)
	}
}
