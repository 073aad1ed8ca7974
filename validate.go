package holdfast

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/holdfast-ws/holdfast/internal/redact"
)

func optionError(field, format string, args ...any) error {
	return &OptionError{Field: field, Err: fmt.Errorf(format, args...)}
}

func checkContext(ctx context.Context) error {
	if ctx == nil {
		return optionError("ctx", "is nil")
	}
	return nil
}

// validate checks options that have their defaults.
func (o *Options) validate() error {
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"HandshakeTimeout", o.HandshakeTimeout}, {"Retry.InitialDelay", o.Retry.InitialDelay},
		{"Retry.MaxDelay", o.Retry.MaxDelay}, {"Retry.StableAfter", o.Retry.StableAfter},
		{"Keepalive.Timeout", o.Keepalive.Timeout}, {"WriteTimeout", o.WriteTimeout},
		{"CloseTimeout", o.CloseTimeout}, {"SendBuffer.MaxAge", o.SendBuffer.MaxAge},
	} {
		if d.value < 0 {
			return optionError(d.field, "%v is negative", d.value)
		}
	}
	if o.Retry.MaxRetries < NoRetry {
		return optionError("Retry.MaxRetries", "%d is none of a positive number, 0 for the default, Unlimited and NoRetry", o.Retry.MaxRetries)
	}
	if o.Retry.InitialDelay > o.Retry.MaxDelay {
		return optionError("Retry.InitialDelay", "%v is more than MaxDelay, %v", o.Retry.InitialDelay, o.Retry.MaxDelay)
	}
	for _, n := range []struct {
		field string
		value int64
	}{
		{"SendBuffer.MaxBytes", int64(o.SendBuffer.MaxBytes)}, {"SendBuffer.MaxMessages", int64(o.SendBuffer.MaxMessages)},
		{"ReceiveBuffer", int64(o.ReceiveBuffer)}, {"MaxMessageSize", o.MaxMessageSize},
	} {
		if n.value < 0 {
			return optionError(n.field, "%d is negative", n.value)
		}
	}
	for _, e := range []struct {
		field     string
		value, to int
	}{
		{"SendBuffer.WhenFull", int(o.SendBuffer.WhenFull), int(WhenFullDropOldest)},
		{"Delivery", int(o.Delivery), int(AtLeastOnce)}, {"Session", int(o.Session), int(SessionRequire)},
	} {
		if e.value < 0 || e.value > e.to {
			return optionError(e.field, "%d is not one of its values", e.value)
		}
	}
	for i, t := range o.Fallback {
		if t == nil {
			return optionError("Fallback", "element %d is nil", i)
		}
		if t.Name() == "longpoll" && o.Session == SessionOff {
			return optionError("Session", "is SessionOff, and the long polling in Fallback carries sessions only")
		}
	}
	return o.validateHeader()
}

func (o *Options) validateHeader() error {
	for name, values := range o.Header { // with canonical names
		if !httpguts.ValidHeaderFieldName(name) {
			return optionError("Header", "%q is not a valid name (RFC 9110, section 5.1)", name)
		}
		if name == "Host" || name == "Upgrade" || name == "Connection" || strings.HasPrefix(name, "Sec-Websocket-") {
			return optionError("Header", "%s belongs to the handshake and cannot be set; see Options.Host and Options.Subprotocols", name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return optionError("Header", "the value of %s has a character that no header may have", name) // the value may be a secret
			}
		}
	}
	if o.Host != "" && !httpguts.ValidHostHeader(o.Host) {
		return optionError("Host", "%q is not a valid host", o.Host)
	}
	seen := map[string]bool{}
	for i, p := range o.Subprotocols { // not quoted: credentials travel in them too
		if !httpguts.ValidHeaderFieldName(p) { // both are tokens
			return optionError("Subprotocols", "element %d is not a token (RFC 6455, section 4.1)", i)
		}
		if seen[p] {
			return optionError("Subprotocols", "element %d stands there before", i)
		}
		seen[p] = true
	}
	return nil
}

// parseEndpoint checks a URL. Its user-info becomes the Authorization header.
func (o *Options) parseEndpoint(field, raw string) (*endpoint, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, optionError(field, "is empty; write ws://host:port/path or wss://host/path")
	case err != nil:
		return nil, optionError(field, "is not a URL: %s", whyNoURL(err))
	case u.Opaque != "":
		return nil, optionError(field, "has no scheme, or no // after it; write ws://host:port/path or wss://host/path")
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http", "https":
		if len(o.Fallback) == 0 {
			return nil, optionError(field, "%s: an http or https URL needs a transport in Options.Fallback; for WebSocket use ws or wss", redact.URL(u))
		}
	case "":
		return nil, optionError(field, "has no scheme; write ws://host:port/path or wss://host/path")
	default:
		return nil, optionError(field, "the scheme %q is not ws or wss, nor http or https with a Fallback", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, optionError(field, "has no host; write ws://host:port/path or wss://host/path")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return nil, optionError(field, "%s: the port must be from 1 to 65535", redact.URL(u))
		}
	}
	if u.Fragment != "" || strings.HasSuffix(raw, "#") {
		return nil, optionError(field, "%s must not have a fragment (RFC 6455, section 3)", redact.URL(u))
	}
	header := o.Header.Clone()
	if u.User != nil {
		if len(header["Authorization"]) > 0 {
			return nil, optionError(field, "%s has user-info, and Options.Header has Authorization: only one of them can be sent", redact.URL(u))
		}
		password, _ := u.User.Password()
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)))
		u.User = nil
	}
	if (u.Scheme == "ws" || u.Scheme == "http") && !isLoopback(u.Hostname()) && !o.AllowInsecureCredentials {
		for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie"} {
			if strings.Join(header[name], "") != "" {
				return nil, optionError(field, "%s: %w (%s); use wss or https, or set AllowInsecureCredentials", redact.URL(u), ErrInsecureCredentials, name)
			}
		}
	}
	return &endpoint{url: u, header: header, name: redact.URL(u)}, nil
}

// whyNoURL says what url.Parse found, without the text that it quotes.
func whyNoURL(err error) string {
	var escape url.EscapeError
	var host url.InvalidHostError
	switch {
	case errors.As(err, &escape):
		return "a % is not followed by two hexadecimal digits"
	case errors.As(err, &host):
		return "the host has a character that no host may have"
	}
	return "check scheme, host, port and brackets"
}

// isLoopback says that host names this machine.
func isLoopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" { // other names under it may be looked up elsewhere
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// validateMessage checks a message to send.
func (o *Options) validateMessage(typ MessageType, data []byte) error {
	switch {
	case typ != Text && typ != Binary:
		return optionError("typ", "%d is neither Text nor Binary", int(typ))
	case int64(len(data)) > o.MaxMessageSize:
		return fmt.Errorf("%w: %d bytes, MaxMessageSize is %d", ErrMessageTooBig, len(data), o.MaxMessageSize)
	case typ == Text && !utf8.Valid(data):
		return optionError("data", "is not UTF-8, so it cannot be sent as Text; Binary takes any bytes (RFC 6455, section 5.6)")
	}
	return nil
}

// validateClose checks a close code and reason (RFC 6455, sections 5.5.1 and 7.4).
func validateClose(code StatusCode, reason string) error {
	switch {
	case !code.sendable():
		return optionError("code", "%d cannot be sent; use 1000 to 1003, 1007 to 1014, or 3000 to 4999", int(code))
	case len(reason) > 123:
		return optionError("reason", "%d bytes are more than the 123 that a close frame holds", len(reason))
	case !utf8.ValidString(reason):
		return optionError("reason", "is not UTF-8")
	}
	return validateClosePlatform(code)
}
