package holdfast

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-ws/holdfast/internal/redact"
	"github.com/holdfast-ws/holdfast/transport"
)

// StatusCode is the code of a WebSocket close frame (RFC 6455, section 7.4,
// and the IANA registry "WebSocket Close Code Number").
type StatusCode int

// The codes of the IANA registry. What each means for reconnecting is in
// [StatusCode.Decision].
const (
	StatusNormalClosure      StatusCode = 1000
	StatusGoingAway          StatusCode = 1001
	StatusProtocolError      StatusCode = 1002
	StatusUnsupportedData    StatusCode = 1003
	StatusNoStatusReceived   StatusCode = 1005 // never on the wire: the close frame had no code
	StatusAbnormalClosure    StatusCode = 1006 // never on the wire: the connection ended without a close frame
	StatusInvalidPayloadData StatusCode = 1007
	StatusPolicyViolation    StatusCode = 1008
	StatusMessageTooBig      StatusCode = 1009
	StatusMandatoryExtension StatusCode = 1010
	StatusInternalError      StatusCode = 1011
	StatusServiceRestart     StatusCode = 1012
	StatusTryAgainLater      StatusCode = 1013
	StatusBadGateway         StatusCode = 1014
	StatusTLSHandshake       StatusCode = 1015 // never on the wire: the TLS handshake failed (browsers report it)
	StatusUnauthorized       StatusCode = 3000
	StatusForbidden          StatusCode = 3003
	StatusTimeout            StatusCode = 3008
)

// Decision is what follows from a failure: try again, try again slowly, once
// more through Authorize, or stop.
type Decision = transport.Decision

// The decisions, from mild to final.
const (
	DecisionRetry       = transport.DecisionRetry       // try again after a backoff delay
	DecisionRetrySlowly = transport.DecisionRetrySlowly // try again after MaxDelay/2 to MaxDelay: it will not pass quickly
	// DecisionReauthorize tries once more through Authorize, then stops; it may
	// once more after each stable link. The try waits its delay and counts as a
	// retry like any other, so NoRetry has none.
	DecisionReauthorize = transport.DecisionReauthorize
	DecisionStop        = transport.DecisionStop // end the Conn: a retry cannot cure the cause
)

// closeCode is a row of the table that decides what the peer's close code
// means. The README shows the same table; a test holds them together.
type closeCode struct {
	first, last StatusCode
	name        string
	decision    Decision
	meaning     string
}

var closeCodes = []closeCode{
	{1000, 1000, "normal closure", DecisionStop, "the server has finished"},
	{1001, 1001, "going away", DecisionRetry, "the server shuts down or the page is left"},
	{1002, 1002, "protocol error", DecisionStop, "the server saw a protocol error in what was sent"},
	{1003, 1003, "unsupported data", DecisionStop, "the server does not take this type of message"},
	{1004, 1004, "reserved", DecisionRetry, "never valid; on the wire it is a protocol error of the peer"},
	{1005, 1005, "no status received", DecisionRetry, "the close frame carried no code"},
	{1006, 1006, "abnormal closure", DecisionRetry, "the connection ended without a close frame"},
	{1007, 1007, "invalid payload data", DecisionStop, "the server could not read a message, such as text that is not UTF-8"},
	{1008, 1008, "policy violation", DecisionStop, "the server refuses this client; slow retries once the endpoint has held a stable link"},
	{1009, 1009, "message too big", DecisionStop, "a message was larger than the server takes, and would be again"},
	{1010, 1010, "mandatory extension", DecisionStop, "an extension that one side needs was not negotiated"},
	{1011, 1011, "internal error", DecisionRetry, "the server failed"},
	{1012, 1012, "service restart", DecisionRetry, "the server restarts"},
	{1013, 1013, "try again later", DecisionRetrySlowly, "the server is overloaded and asks for time"},
	{1014, 1014, "bad gateway", DecisionRetry, "a gateway got an invalid answer from the server behind it"},
	{1015, 1015, "TLS handshake", DecisionRetry, "the TLS handshake failed; browsers report it"},
	{3000, 3000, "unauthorized", DecisionReauthorize, "credentials are missing or have expired"},
	{3003, 3003, "forbidden", DecisionReauthorize, "the credentials do not allow this"},
	{3008, 3008, "timeout", DecisionRetry, "the server waited too long for the client"},
	{3001, 3999, "registered", DecisionRetry, "for libraries and frameworks; not named by this table"},
	{4000, 4999, "private use", DecisionRetry, "the application's own; Retry.Decide can say more"},
}

func (c StatusCode) row() *closeCode {
	for i := range closeCodes {
		if r := &closeCodes[i]; r.first <= c && c <= r.last {
			return r
		}
	}
	return nil
}

// String returns the number and the registry's name, such as "1012 service
// restart"; the bare number where there is no name.
func (c StatusCode) String() string {
	if r := c.row(); r != nil {
		return strconv.Itoa(int(c)) + " " + r.name
	}
	return strconv.Itoa(int(c))
}

// Decision says what a Conn does when the peer closes with this code, unless
// RetryPolicy.Decide says otherwise. Codes that no table names are retried.
// [StatusPolicyViolation] is retried slowly, not stopped at, once the endpoint
// has held a stable link, since deployments send it.
func (c StatusCode) Decision() Decision {
	if r := c.row(); r != nil {
		return r.decision
	}
	return DecisionRetry
}

// sendable says whether an endpoint may put the code into a close frame
// (RFC 6455, sections 7.4.1 and 7.4.2).
func (c StatusCode) sendable() bool {
	switch c {
	case 1004, StatusNoStatusReceived, StatusAbnormalClosure, StatusTLSHandshake:
		return false
	}
	return 1000 <= c && c <= 1014 || 3000 <= c && c <= 4999
}

// closeError makes a CloseError of what a link's Read or Write said.
func closeError(err error) *CloseError {
	var remote *transport.CloseError
	var protocol *transport.ProtocolError
	var already *CloseError
	var request *transport.Error
	switch {
	case errors.As(err, &already):
		return already
	case errors.As(err, &remote):
		return &CloseError{Code: StatusCode(remote.Code), Reason: remote.Reason, Remote: true}
	case errors.As(err, &protocol):
		return &CloseError{Code: StatusCode(protocol.Code), Err: protocol}
	case errors.Is(err, ErrMessageTooBig):
		return &CloseError{Code: StatusMessageTooBig, Err: fmt.Errorf("%w: the server sent one over MaxMessageSize; raise the limit if it may", err)}
	}
	if errors.As(err, &request) { // its URL and header may have secrets
		err = redact.Error(request.Err)
	}
	return &CloseError{Code: StatusAbnormalClosure, Err: err}
}

// decision says what follows from the end of a link. stable: the endpoint has
// held a stable link.
func (e *CloseError) decision(stable bool) Decision {
	switch {
	case !e.Remote && e.Code != StatusMessageTooBig:
		return DecisionRetry // what this side found wrong with one link
	case e.Code == StatusPolicyViolation && stable:
		return DecisionRetrySlowly
	}
	return e.Code.Decision()
}
