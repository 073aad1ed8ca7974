package holdfast

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
)

func cookieURL(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u
}

// shown returns the cookies that a request to raw carries.
func shown(jar http.CookieJar, raw string) map[string]string {
	m := map[string]string{}
	for _, c := range jar.Cookies(cookieURL(raw)) {
		m[c.Name] = c.Value
	}
	return m
}

func TestJarIsHostOnly(t *testing.T) {
	jar := newHostOnlyJar()
	jar.SetCookies(cookieURL("https://api.example.com/stream"), []*http.Cookie{
		{Name: "plain", Value: "1", Path: "/"},
		{Name: "domain", Value: "2", Path: "/", Domain: "example.com"},
		{Name: "suffix", Value: "3", Path: "/", Domain: "com"},
	})
	want := map[string]string{"plain": "1", "domain": "2", "suffix": "3"}
	assert.Equal(t, want, shown(jar, "https://api.example.com/other"))
	assert.Equal(t, want, shown(jar, "https://api.example.com:8443/"))
	for _, other := range []string{"https://example.com/", "https://www.example.com/", "https://x.api.example.com/", "https://evil.com/"} {
		assert.Empty(t, shown(jar, other), other)
	}
}

func TestJarLeavesTheCookiesAlone(t *testing.T) {
	c := &http.Cookie{Name: "a", Value: "1", Domain: "example.com"}
	newHostOnlyJar().SetCookies(cookieURL("https://api.example.com/"), []*http.Cookie{c})
	assert.Equal(t, "example.com", c.Domain)
}

func TestJarKeepsSecureCookiesForTLS(t *testing.T) {
	jar := newHostOnlyJar()
	jar.SetCookies(cookieURL("https://a.test/"), []*http.Cookie{{Name: "s", Value: "1", Secure: true}, {Name: "p", Value: "2"}})
	assert.Equal(t, map[string]string{"p": "2"}, shown(jar, "http://a.test/"))
	assert.Equal(t, map[string]string{"p": "2", "s": "1"}, shown(jar, "https://a.test/"))
}

func TestJarReplacesAndDeletes(t *testing.T) {
	jar := newHostOnlyJar()
	set := func(c http.Cookie) { jar.SetCookies(cookieURL("https://a.test/"), []*http.Cookie{&c}) }
	set(http.Cookie{Name: "lb", Value: "node1"})
	set(http.Cookie{Name: "lb", Value: "node2"})
	assert.Equal(t, map[string]string{"lb": "node2"}, shown(jar, "https://a.test/"))
	set(http.Cookie{Name: "lb", MaxAge: -1})
	assert.Empty(t, shown(jar, "https://a.test/"))
}

func TestJarIsBoundedForEachHost(t *testing.T) {
	jar := newHostOnlyJar()
	for i := range 3 * maxCookies {
		jar.SetCookies(cookieURL("https://a.test/"), []*http.Cookie{{Name: fmt.Sprint("c", i), Value: "1"}, {Name: fmt.Sprint("d", i), Value: "1"}})
	}
	assert.Len(t, shown(jar, "https://a.test/"), maxCookies)
	jar.SetCookies(cookieURL("https://b.test/"), []*http.Cookie{{Name: "c", Value: "1"}})
	assert.Len(t, shown(jar, "https://b.test/"), 1, "a host that fills its own share takes nothing from others")
}

// The bound counts whatever the host has set, not what this one path shows.
func TestJarIsBoundedWhateverThePath(t *testing.T) {
	jar := newHostOnlyJar()
	const paths = 10 * maxCookies
	for i := range paths {
		jar.SetCookies(cookieURL("https://a.test/"), []*http.Cookie{{Name: "c", Value: "1", Path: fmt.Sprint("/p", i)}})
	}
	held := 0
	for i := range paths {
		held += len(shown(jar, fmt.Sprint("https://a.test/p", i)))
	}
	assert.LessOrEqual(t, held, maxCookies)
}

// A jar that is full must still follow the server: sticky sessions move.
func TestJarReplacesAndDeletesWhenFull(t *testing.T) {
	jar := newHostOnlyJar()
	for i := range maxCookies {
		jar.SetCookies(cookieURL("https://a.test/"), []*http.Cookie{{Name: fmt.Sprint("c", i), Value: "old"}})
	}
	jar.SetCookies(cookieURL("https://a.test/"), []*http.Cookie{{Name: "c7", Value: "new"}})
	assert.Equal(t, "new", shown(jar, "https://a.test/")["c7"])
	jar.SetCookies(cookieURL("https://a.test/"), []*http.Cookie{{Name: "c8", MaxAge: -1}, {Name: "c50", Value: "1"}})
	got := shown(jar, "https://a.test/")
	assert.NotContains(t, got, "c8")
	assert.Contains(t, got, "c50")
}

func TestNoCookiesKeepsNone(t *testing.T) {
	NoCookies.SetCookies(cookieURL("https://a.test/"), []*http.Cookie{{Name: "c", Value: "1"}})
	assert.Empty(t, shown(NoCookies, "https://a.test/"))
}
