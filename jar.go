package holdfast

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
)

// maxCookies bounds the jar that a Conn makes for itself, for each host.
const maxCookies = 50

// hostOnlyJar is the jar of a Conn that was given none. It has no list of public
// suffixes, so no cookie leaves the host that set it.
type hostOnlyJar struct{ *cookiejar.Jar }

func newHostOnlyJar() http.CookieJar {
	jar, _ := cookiejar.New(nil) // it fails never
	return hostOnlyJar{jar}
}

func (j hostOnlyJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		if len(j.Cookies(&url.URL{Scheme: "https", Host: u.Host, Path: u.Path})) >= maxCookies {
			return
		}
		own := *c
		own.Domain = ""
		j.Jar.SetCookies(u, []*http.Cookie{&own})
	}
}
