package transport

import "strconv"

// Phase is how far an attempt to connect came.
type Phase int

// The phases, in order.
const (
	PhaseNone      Phase = iota // before anything was tried
	PhaseResolve                // looking the host name up
	PhaseConnect                // making the TCP connection
	PhaseProxy                  // asking the proxy to connect (HTTP CONNECT, SOCKS5)
	PhaseTLS                    // the TLS handshake
	PhaseHandshake              // the WebSocket handshake, or a poll's open
	PhaseAuthorize              // Options.Authorize
	PhaseOnConnect              // Options.OnConnect
)

var phaseNames = [...]string{"start", "resolve", "connect", "proxy", "tls", "handshake", "authorize", "onconnect"}

// String returns the phase's name in lower case.
func (p Phase) String() string { return name(phaseNames[:], int(p), "Phase") }

// Class is the kind of cause behind a failed attempt.
type Class int

// The classes. Each says what a person would look at first.
const (
	ClassUnknown      Class = iota // nothing here fits
	ClassOffline                   // this host has no way to the target
	ClassLocalPolicy               // a local rule forbids it: firewall, blackhole or prohibit route
	ClassUnreachable               // a router or neighbour says the target cannot be reached
	ClassServerDown                // the host answers, but nothing listens
	ClassTimeout                   // no answer in time
	ClassName                      // the host name does not exist
	ClassDNS                       // the name servers failed
	ClassTLS                       // the TLS handshake failed
	ClassTLSTrust                  // the certificate does not verify
	ClassWrongScheme               // TLS spoken to a port without it, or the other way round
	ClassTransient                 // the connection broke during the handshake
	ClassBlocked                   // plain HTTP works, the WebSocket upgrade does not
	ClassIntercepted               // something else answered in the server's place
	ClassProxyAuth                 // the proxy wants credentials
	ClassProxyRefused              // the proxy refuses this target
	ClassProxyDown                 // the proxy cannot be reached, or cannot reach the target
	ClassNotFound                  // nothing lives at this path
	ClassUnauthorized              // credentials missing, wrong or expired
	ClassRejected                  // the server refused the request as it is
	ClassOverloaded                // the server is there but cannot serve now
	ClassCallback                  // Authorize or OnConnect returned an error
	ClassNotSticky                 // a balancer sends one session to different servers
)

var classNames = [...]string{"unknown", "offline", "local policy", "unreachable", "server down", "timeout", "name", "dns",
	"tls", "tls trust", "wrong scheme", "transient", "blocked", "intercepted", "proxy auth", "proxy refused", "proxy down",
	"not found", "unauthorized", "rejected", "overloaded", "callback", "not sticky"}

// String returns the class's name in lower case.
func (c Class) String() string { return name(classNames[:], int(c), "Class") }

// Decision is what follows from a failure.
type Decision int

// The decisions.
const (
	// DecisionRetry tries again after a backoff delay.
	DecisionRetry Decision = iota
	// DecisionRetrySlowly tries again after half of MaxDelay to all of it:
	// the cause will not pass quickly.
	DecisionRetrySlowly
	// DecisionReauthorize tries once more through Authorize, then stops. The
	// try waits its delay and counts as a retry like any other.
	DecisionReauthorize
	// DecisionStop ends the connection: a retry cannot cure the cause.
	DecisionStop
)

var decisionNames = [...]string{"retry", "retry slowly", "reauthorize", "stop"}

// String returns the decision's name in lower case.
func (d Decision) String() string { return name(decisionNames[:], int(d), "Decision") }

func name(names []string, i int, typ string) string {
	if i < 0 || i >= len(names) {
		return typ + "(" + strconv.Itoa(i) + ")"
	}
	return names[i]
}
