// Package redact takes secrets out of URLs and errors before they are shown:
// user-info, query values and fragments.
package redact

import (
	"net/url"
	"regexp"
	"strings"
)

// placeholder stands where a secret stood.
const placeholder = "redacted"

// URL returns u as text with its scheme, host and path. Of the query the keys
// stay and every value is replaced, a part without "=" too; user-info and
// fragment are gone. An opaque URL keeps its scheme alone. nil gives "".
func URL(u *url.URL) string {
	if u == nil {
		return ""
	}
	if u.Opaque != "" || u.Host == "" && u.Scheme != "" {
		return u.Scheme + ":" + placeholder
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: query(u.RawQuery)}
	return shown.String()
}

// String is URL for text that may not parse, or not as it was meant. What is
// neither a whole URL nor a rooted path becomes "redacted", and so does a path
// with "@", which may be user-info in the wrong place.
func String(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.Scheme == "" && u.Host == "" && !strings.HasPrefix(u.Path, "/") {
		return placeholder
	}
	if strings.Contains(u.Path, "@") {
		u.Path, u.RawPath = "/"+placeholder, ""
	}
	return URL(u)
}

func query(raw string) string {
	if raw == "" {
		return ""
	}
	parts := strings.Split(raw, "&")
	for i, p := range parts {
		if key, _, ok := strings.Cut(p, "="); ok && !strings.Contains(key, "@") {
			parts[i] = key + "=" + placeholder
		} else if p != "" {
			parts[i] = placeholder
		}
	}
	return strings.Join(parts, "&")
}

var urlInText = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://\S+`)

// text replaces the URLs in s.
func text(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	return urlInText.ReplaceAllStringFunc(s, func(m string) string {
		u := strings.TrimRight(m, ":,.;)")
		return String(u) + m[len(u):]
	})
}
