package debugpage

import (
	"crypto/sha256"
	_ "embed" // the assets
	"encoding/hex"
	"net/http"
)

// An asset is part of the page, under the page's own URL: with asset and v in
// the query. v is its content's, so that browsers may keep it.
type asset struct {
	name, mediaType string
	body            []byte
	version         string
}

var (
	//go:embed style.css
	styleBody []byte
	//go:embed script.js
	scriptBody []byte
	//go:embed icon.svg
	iconBody []byte

	style  = newAsset("style.css", "text/css; charset=utf-8", styleBody)
	script = newAsset("script.js", "text/javascript; charset=utf-8", scriptBody)
	icon   = newAsset("icon.svg", "image/svg+xml", iconBody)
)

func newAsset(name, mediaType string, body []byte) asset {
	sum := sha256.Sum256(body)
	return asset{name, mediaType, body, hex.EncodeToString(sum[:6])}
}

// url is relative to the page.
func (a asset) url() string { return "?asset=" + a.name + "&v=" + a.version }

func serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	for _, a := range []asset{style, script, icon} {
		if a.name != name {
			continue
		}
		if r.URL.Query().Get("v") == a.version {
			w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
		}
		answer(w, r, http.StatusOK, a.mediaType, a.body)
		return
	}
	answer(w, r, http.StatusNotFound, textType, []byte("asset: there is none of that name\n"))
}
