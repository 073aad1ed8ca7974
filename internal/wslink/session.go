//go:build !js

package wslink

import (
	"encoding/base64"
	"net/http"
	"strings"
)

const (
	helloHeader   = "Holdfast-Hello"
	versionHeader = "Holdfast-Version"
)

// offerSession puts HELLO into a request that is about to leave: after
// Authorize and past http.Client, so that nobody else sees it, and not for
// another origin. Names of the protocol's own are nobody else's to set.
func (a *attempt) offerSession(req *http.Request) {
	for key := range req.Header {
		if strings.HasPrefix(strings.ToLower(key), "holdfast-") {
			delete(req.Header, key)
		}
	}
	a.hello = ""
	if a.r.Session != nil && !a.foreign {
		a.hello = base64.RawURLEncoding.EncodeToString(a.r.Session.Hello())
		req.Header.Set(helloHeader, a.hello)
	}
}
