package holdfast

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path"
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
