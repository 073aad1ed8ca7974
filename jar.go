package holdfast

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path"
	"slices"
	"sync"
	"time"
)

const (
	maxCookies     = 50 // of each host
	maxCookieHosts = 16
)

// hostOnlyJar is the jar of a Conn that was given none. It has no list of public
// suffixes, so no cookie leaves the host that set it; and it is bounded, which a
// cookiejar.Jar is not.
type hostOnlyJar struct {
	*cookiejar.Jar

	mu   sync.Mutex
	held map[string]map[cookieKey]struct{} // by host
}

type cookieKey struct{ name, path string }

func newHostOnlyJar() http.CookieJar {
	jar, _ := cookiejar.New(nil) // it fails never
	return &hostOnlyJar{Jar: jar, held: map[string]map[cookieKey]struct{}{}}
}

func (j *hostOnlyJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	held := j.held[u.Hostname()]
	if held == nil {
		if len(j.held) == maxCookieHosts {
			return
		}
		held = map[cookieKey]struct{}{}
		j.held[u.Hostname()] = held
	}
	for _, c := range cookies {
		key := cookieKey{c.Name, c.Path}
		if key.path == "" {
			key.path = path.Dir(u.Path)
		}
		_, known := held[key]
		switch {
		case c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(time.Now()):
			delete(held, key)
		case !known && len(held) == maxCookies:
			continue
		default:
			held[key] = struct{}{}
		}
		own := *c
		own.Domain = ""
		j.Jar.SetCookies(u, []*http.Cookie{&own})
	}
}

// stagedJar keeps the cookies of a link that may not be used apart, until it is
// attached: of two links that land on different servers only one's cookies are
// to be kept.
type stagedJar struct {
	base http.CookieJar

	mu     sync.Mutex
	own    http.CookieJar // nil once committed
	staged []stagedCookies
}

type stagedCookies struct {
	url     *url.URL
	cookies []*http.Cookie
}

// stage returns nil where no cookies are kept.
func stage(base http.CookieJar) *stagedJar {
	if base == nil {
		return nil
	}
	return &stagedJar{base: base, own: newHostOnlyJar()}
}

func (j *stagedJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	own := j.own
	if own != nil {
		j.staged = append(j.staged, stagedCookies{u, cookies})
	}
	j.mu.Unlock()
	if own == nil {
		own = j.base
	}
	own.SetCookies(u, cookies)
}

func (j *stagedJar) Cookies(u *url.URL) []*http.Cookie {
	j.mu.Lock()
	own := j.own
	j.mu.Unlock()
	list := j.base.Cookies(u)
	if own == nil {
		return list
	}
	newer := own.Cookies(u)
	list = slices.DeleteFunc(list, func(c *http.Cookie) bool {
		return slices.ContainsFunc(newer, func(n *http.Cookie) bool { return n.Name == c.Name })
	})
	return append(list, newer...)
}

// commit hands the cookies on; nil is fine.
func (j *stagedJar) commit() {
	if j == nil {
		return
	}
	j.mu.Lock()
	staged := j.staged
	j.own, j.staged = nil, nil
	j.mu.Unlock()
	for _, s := range staged {
		j.base.SetCookies(s.url, s.cookies)
	}
}
