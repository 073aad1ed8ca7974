//go:build !js

package fallback

import "net/http"

// stayHere is for browsers: elsewhere net/http's Transport follows no redirect.
func stayHere(http.Header) {}
