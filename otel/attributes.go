package holdfastotel

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/holdfast-ws/holdfast"
)

// Attributes without a semantic convention.
const (
	keyRole      = attribute.Key("holdfast.role")         // "client", "server"
	keyState     = attribute.Key("holdfast.state")        // holdfast.State's name
	keyTransport = attribute.Key("holdfast.transport")    // "websocket", "longpoll", "none"
	keyPhase     = attribute.Key("holdfast.dial.phase")   // holdfast.Phase's name
	keyAttempt   = attribute.Key("holdfast.dial.attempt") // since the last connection, from 1

	keyOverflow = attribute.Key("otel.metric.overflow") // the SDK's own
)

// roles
const (
	client = "client"
	server = "server"
)

// target is what all metrics of one endpoint have in common.
type target struct {
	role, scheme, address string
	port                  int
	overflow              bool
}

var defaultPorts = map[string]int{"ws": 80, "http": 80, "wss": 443, "https": 443}

// targetOf takes from an endpoint what is public and of few values. What a session
// is called is its client's word.
func targetOf(role, endpoint string) target {
	t := target{role: role}
	u, err := url.Parse(endpoint)
	if err != nil {
		return t
	}
	port, known := defaultPorts[u.Scheme]
	if known {
		t.scheme = u.Scheme
	}
	if role == server {
		return t
	}
	t.address, t.port = strings.ToLower(u.Hostname()), port
	if n, err := strconv.Atoi(u.Port()); err == nil {
		t.port = n
	}
	return t
}

func (t target) attributes() []attribute.KeyValue {
	all := []attribute.KeyValue{keyRole.String(t.role)}
	if t.overflow {
		return append(all, keyOverflow.Bool(true))
	}
	if t.scheme != "" {
		all = append(all, semconv.URLScheme(t.scheme))
	}
	if t.address != "" {
		all = append(all, semconv.ServerAddress(t.address))
	}
	if t.port != 0 {
		all = append(all, semconv.ServerPort(t.port))
	}
	return all
}

// transportName is a transport's, "none" between links.
func transportName(transport string) string {
	if transport == "" {
		return "none"
	}
	return transport
}

// protocol is the semantic conventions' name of what a transport speaks.
func protocol(transport string) string {
	if transport == "websocket" {
		return transport
	}
	return "http"
}

// underscored turns a name of Holdfast's into one of an attribute's value.
func underscored(name string) string { return strings.ReplaceAll(name, " ", "_") }

// errorTypes are those of errors that have no class, the first that fits.
var errorTypes = []struct {
	err  error
	name string
}{
	{holdfast.ErrNoPong, "no_pong"},
	{holdfast.ErrSessionLost, "session_lost"},
	{holdfast.ErrMessageTooBig, "message_too_big"},
	{holdfast.ErrClosed, "closed"},
	{context.DeadlineExceeded, "timeout"},
	{context.Canceled, "canceled"},
}

// errorType is the error.type of a failure: a class, one of errorTypes, or a close
// code. What the peer may choose freely is no value of its own.
func errorType(err error) string {
	var dial *holdfast.DialError
	if errors.As(err, &dial) {
		return underscored(dial.Class.String())
	}
	for _, t := range errorTypes {
		if errors.Is(err, t.err) {
			return t.name
		}
	}
	var closed *holdfast.CloseError
	if !errors.As(err, &closed) {
		return semconv.ErrorTypeOther.Value.AsString()
	}
	switch code := int(closed.Code); {
	case code >= 1000 && code < 1016:
		return strconv.Itoa(code)
	case code >= 3000 && code < 5000:
		return strconv.Itoa(code/1000) + "xxx"
	}
	return semconv.ErrorTypeOther.Value.AsString()
}
