package holdfast

import (
	"errors"
	"fmt"
)

// A browser's WebSocket has no headers, no proxies, no pings and no sockets.
// Options that ask for them are refused rather than ignored.
func (o *Options) validatePlatform() error {
	if o == nil {
		return nil
	}
	for _, f := range []struct {
		field string
		set   bool
	}{
		{"Header", len(o.Header) > 0}, {"Authorize", o.Authorize != nil}, {"Host", o.Host != ""},
		{"Jar", o.Jar != nil}, {"TLSConfig", o.TLSConfig != nil}, {"Proxy", o.Proxy != nil},
		{"DialContext", o.DialContext != nil}, {"Compression", o.Compression},
		{"Delivery", o.Delivery == AtLeastOnce && o.Session != SessionRequire}, // no pings, so no receipts
	} {
		if f.set {
			return optionError(f.field, "%w in a browser", errors.ErrUnsupported)
		}
	}
	for _, t := range o.Fallback {
		if t != nil && t.Name() == "longpoll" && o.Session != SessionRequire {
			return optionError("Session", "has to be SessionRequire in a browser for the long polling in Fallback")
		}
	}
	return nil
}

// validateClosePlatform: WebSocket.close takes no other codes.
func validateClosePlatform(code StatusCode) error {
	if code != StatusNormalClosure && code < 3000 {
		return &OptionError{Field: "code", Err: fmt.Errorf("%d: %w in a browser, which takes 1000 and 3000 to 4999", int(code), errors.ErrUnsupported)}
	}
	return nil
}

// offersSession says whether links are opened for a session. A browser
// cannot ask for one beside plain messages: there it is all or nothing.
func offersSession(o *Options) bool { return o.Session == SessionRequire }
