package cli

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Headers is what -H 'Name: value' says, as often as it is given. Register Set with
// Flags.Secret.
type Headers struct{ http.Header }

// Set adds one header. Its errors quote no value, which may be a secret.
func (h *Headers) Set(v string) error {
	name, value, ok := strings.Cut(v, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case !ok:
		return errors.New("a header looks like 'Name: value'")
	case !httpguts.ValidHeaderFieldName(name):
		return errors.New("what stands before the colon is not a header's name (RFC 9110, section 5.1)")
	case !httpguts.ValidHeaderFieldValue(value):
		return fmt.Errorf("the value of %s has a character that no header may have", name)
	}
	switch name = http.CanonicalHeaderKey(name); {
	case name == "Host", name == "Upgrade", name == "Connection", strings.HasPrefix(name, "Sec-Websocket-"):
		return fmt.Errorf("%s belongs to the handshake and cannot be set", name)
	}
	if h.Header == nil {
		h.Header = http.Header{}
	}
	h.Add(name, value)
	return nil
}

// SetAuth sets Authorization to the value of an environment variable, which is the
// value of --auth: so the secret stands in no list of processes and in no history
// of a shell. Register it with Flags.Secret.
func (h *Headers) SetAuth(variable string) error {
	value := strings.TrimSpace(os.Getenv(variable))
	switch {
	case variable == "" || strings.ContainsAny(variable, " \t:=\x00"):
		return errors.New("give the name of an environment variable, never the secret itself")
	case value == "":
		return errors.New("the environment has no variable of this name, or an empty one; it has the value of the header Authorization, such as 'Bearer …'")
	case h.Get("Authorization") != "":
		return errors.New("Authorization is set already")
	}
	return h.Set("Authorization: " + value)
}
