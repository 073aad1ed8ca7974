package fallback

import (
	"net/http"
	"strings"
	"syscall/js"
)

// fetches says that net/http uses the platform's fetch. Under Node.js it does not.
var fetches = func() bool {
	process := js.Global().Get("process")
	return !js.Global().Get("fetch").IsUndefined() &&
		(process.Type() != js.TypeObject || !strings.HasPrefix(process.Get("argv0").String(), "node"))
}()

// stayHere keeps fetch from following a redirect, with the session's secret.
func stayHere(h http.Header) {
	if fetches {
		h.Set("js.fetch:redirect", "error")
	}
}
