package debugpage

import (
	"errors"
	"fmt"
	stdhtml "html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
)

// elements are those that a page has.
var elements = strings.Fields("html head meta title link noscript script body main header h1 h2 p span a b i nav ul li form label input select option button " +
	"section table thead tbody tr th td svg rect g line polyline dl div dt dd figure figcaption footer")

// wellFormed reads a page: it has no other elements, no attribute that is code, and
// every element is closed. It returns all texts and attribute values.
func wellFormed(t *testing.T, page string) (values []string) {
	t.Helper()
	var open []string
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		typ := z.Next()
		token := z.Token()
		switch typ {
		case html.ErrorToken:
			assert.Empty(t, open, "never closed")
			return values
		case html.StartTagToken, html.SelfClosingTagToken:
			require.Contains(t, elements, token.Data)
			for _, a := range token.Attr {
				require.False(t, strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc", "%s=%q", a.Key, a.Val)
				if a.Key == "href" || a.Key == "src" {
					require.True(t, strings.HasPrefix(a.Val, "?"), "%s=%q", a.Key, a.Val)
				}
				values = append(values, a.Val)
			}
			switch token.Data {
			case "meta", "link", "input":
				continue
			}
			if typ == html.StartTagToken {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			require.NotEmpty(t, open)
			require.Equal(t, open[len(open)-1], token.Data)
			open = open[:len(open)-1]
		case html.TextToken:
			values = append(values, token.Data)
		case html.CommentToken:
			require.Fail(t, "a comment", token.Data)
		}
	}
}

func TestNothingBreaksOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := newRecorder()
		defer rec.start()()
		c := newCrowd(t, echo)
		conn := c.join(t, 1, upHost+"/'%22><script>", func(_ int, o *holdfast.Options) {
			o.Header.Set("X-User", "principal"+hostile)
		})[0]
		time.Sleep(time.Second)
		bad := event(holdfast.EventAttemptFailed, holdfast.StateConnected)
		bad.Err, bad.Endpoint, bad.Transport = errors.New("error"+hostile), "endpoint"+hostile, "transport"+hostile
		session := registry.Members()[1]
		rec.Event(session, bad)
		h := newHandler(&Options{Title: "title" + hostile, ShowPrincipals: true}, rec)
		id := fmt.Sprintf("id=%d", session.ID)
		q := url.QueryEscape("query" + hostile)
		look := func(query string, markers ...string) {
			t.Helper()
			all := strings.Join(wellFormed(t, h.get(http.MethodGet, query).Body.String()), "\n")
			for _, m := range append(markers, "title") {
				assert.Contains(t, all, m+hostile, "it is there, as it is")
			}
		}
		look("", "principal")
		look("q="+q+"&transport="+q+"&sort=-id", "query")
		look(id+"&q="+q, "principal", "error", "endpoint", "transport")
		look("id=999999999&q=" + q)
		assert.Contains(t, h.get(http.MethodGet, id).Body.String(), "ws://stream.example:80/%27%22%3E%3Cscript%3E/feed/0?token=redacted")
		require.NoError(t, conn.CloseWith(t.Context(), 4000, hostile))
		<-conn.Done()
		synctest.Wait()
		look("", "principal")
		look(id, "principal")
		assert.Contains(t, stdhtml.UnescapeString(h.get(http.MethodGet, "").Body.String()), fmt.Sprintf("%q", hostile), "the close reason")

		// Bad queries are quoted in plain text.
		w := h.get(http.MethodGet, "state="+q)
		assert.Equal(t, 400, w.Code)
		assert.Equal(t, textType, w.Header().Get("Content-Type"))
	})
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"plain äöü 世界":        "plain äöü 世界",
		`<a href="x">'&'`:     "&lt;a href=&#34;x&#34;&gt;&#39;&amp;&#39;",
		"nul\x00 esc\x1b[31m": "nul\uFFFD esc\uFFFD[31m",
		"tab\tline\n":         "tab\tline\n",
		"cut\xff\xc3":         "cut\uFFFD\uFFFD",
		"a\u202Eb\u2066c":     "a\uFFFDb\uFFFDc",
		"\uFFFD":              "\uFFFD",
	} {
		p := &page{}
		p.text(text)
		assert.Equal(t, want, string(p.b))
	}
}

func FuzzText(f *testing.F) {
	f.Add(hostile)
	f.Add("a\xff\u202E&amp;")
	f.Fuzz(func(t *testing.T, s string) {
		p := &page{}
		p.raw(`<p title="`)
		p.text(s)
		p.raw(`">`)
		p.text(s)
		p.raw(`</p>`)
		z := html.NewTokenizer(strings.NewReader(string(p.b)))
		require.Equal(t, html.StartTagToken, z.Next())
		start := z.Token()
		require.Len(t, start.Attr, 1)
		z.Next()
		text := z.Token()
		if text.Type == html.TextToken {
			assert.Equal(t, start.Attr[0].Val, text.Data)
			z.Next()
			text = z.Token()
		}
		require.Equal(t, html.EndTagToken, text.Type)
		require.Equal(t, html.ErrorToken, z.Next())
	})
}

func TestClip(t *testing.T) {
	assert.Equal(t, "short", clip("short"))
	long := strings.Repeat("ä", 200)
	assert.Equal(t, strings.Repeat("ä", 150)+"…", clip(long))
	assert.Equal(t, "x"+strings.Repeat("ä", 149)+"…", clip("x"+long))
	assert.Equal(t, strings.Repeat("\x80", 5000)[:0]+"…", clip(strings.Repeat("\x80", 5000)), "what is no text is no matter")
}

// Texts of users' own errors may quote a URL.
func TestErrorsHaveNoSecrets(t *testing.T) {
	rec := newRecorder()
	m := member(1)
	e := event(holdfast.EventAttemptFailed, holdfast.StateWaiting)
	e.Err = fmt.Errorf("log in: %w", &url.Error{Op: "Get", URL: "https://u:pw-s3cret@x.example/?token=s3cret", Err: errors.New("refused, see https://x.example/?t=s3cret")})
	rec.Event(m, e)
	h, _, _ := rec.recall(1)
	assert.NotContains(t, h.events[0].err, "s3cret")
	assert.Contains(t, h.events[0].err, "log in: ")
}
