package doctor

import "time"

// URLFacts are what the URL asks for.
type URLFacts struct {
	Scheme string `json:"scheme"`
	Host   string `json:"host"`
	Port   string `json:"port"` // the scheme's where the URL has none
	TLS    bool   `json:"tls"`
}

// ProxyFacts say how the server is reached.
type ProxyFacts struct {
	// URL is the proxy's without user-info, "" for none.
	URL string `json:"url"`
	// Source says what decided: a variable of the environment, as "HTTPS_PROXY",
	// "NO_PROXY" where that exempts the server, "Options.Proxy", or "" if nothing
	// is set.
	Source string `json:"source"`
}

// NetworkFacts are about this host.
type NetworkFacts struct {
	Interfaces []Interface `json:"interfaces"`
	// Target is the next host and port: the proxy's, or the server's.
	Target string `json:"target"`
	// Reachability is what a holdfast.Network says of it: "reachable",
	// "unreachable" or "unknown", which is no objection.
	Reachability string `json:"reachability"`
}

// Interface is one that is up.
type Interface struct {
	Name string `json:"name"`
	// Running says that it has its carrier.
	Running   bool     `json:"running"`
	Addresses []string `json:"addresses"`
}

// DNSFacts are about the name of the next host.
type DNSFacts struct {
	Name string `json:"name"`
	// CNAME is the name that it stands for, "" if it is its own or not known.
	CNAME string `json:"cname,omitempty"`
	// Lookups are those for A and AAAA.
	Lookups []Lookup `json:"lookups"`
}

// Lookup is one question.
type Lookup struct {
	Type       string   `json:"type"` // "A" or "AAAA"
	Addresses  []string `json:"addresses"`
	DurationMS float64  `json:"duration_ms"`
	Error      string   `json:"error,omitempty"`
}

// TCPFacts are a connection to each address.
type TCPFacts struct {
	Connections []Connection `json:"connections"`
}

// Connection is one that was made for its own sake, and closed.
type Connection struct {
	Address    string  `json:"address"`
	Local      string  `json:"local,omitempty"`     // this end's address
	Interface  string  `json:"interface,omitempty"` // the one with that address
	DurationMS float64 `json:"duration_ms"`
	Error      string  `json:"error,omitempty"`
}

// TunnelFacts are the proxy's answer.
type TunnelFacts struct {
	// Protocol is "CONNECT" or "SOCKS5".
	Protocol string `json:"protocol"`
	// StatusCode and Headers are those of a refusal of CONNECT.
	StatusCode int               `json:"status_code,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
}

// TLSFacts are about TLS with the server.
type TLSFacts struct {
	ServerName  string `json:"server_name"`
	Version     string `json:"version,omitempty"`
	CipherSuite string `json:"cipher_suite,omitempty"`
	ALPN        string `json:"alpn,omitempty"`
	// Verified says that the certificate is trusted and for the name;
	// VerificationOff that the connection was made without asking for that.
	Verified        bool   `json:"verified"`
	VerificationOff bool   `json:"verification_off,omitempty"`
	Error           string `json:"error,omitempty"`
	// NameMatch says that the certificate is for ServerName, trusted or not.
	NameMatch bool `json:"name_match"`
	// Chain is what the server sent, its own certificate first.
	Chain []Certificate `json:"chain,omitempty"`
}

// Certificate is one of a chain (RFC 5280).
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names,omitempty"` // at most ten
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// ExpiresInDays is negative for one that has expired.
	ExpiresInDays int `json:"expires_in_days"`
}

// UpgradeFacts are the answer to the WebSocket handshake (RFC 6455, section 4).
type UpgradeFacts struct {
	StatusCode int `json:"status_code,omitempty"`
	// Headers are those of the answer that tell who answered and why. Cookies and
	// challenges are not among them.
	Headers map[string]string `json:"headers,omitempty"`
	// URL is the one asked last, after redirects, without query values.
	URL string `json:"url"`
	// Redirected says that it is another than the endpoint.
	Redirected bool `json:"redirected"`
	// Intermediaries are signs that something on the way has answered, or has
	// passed the answer on: a Via, or a header of a known gateway.
	Intermediaries []string `json:"intermediaries,omitempty"`
	// Session says that the server speaks the session protocol.
	Session bool `json:"session"`
	// ClockSkewMS is how far this host's clock is ahead of the answer's Date, to
	// the second; nil if it has none.
	ClockSkewMS *float64 `json:"clock_skew_ms,omitempty"`
}

// SubprotocolFacts are about Options.Subprotocols.
type SubprotocolFacts struct {
	Offered int    `json:"offered"`
	Chosen  string `json:"chosen"`
}

// PingFacts are the round trips of pings over the link.
type PingFacts struct {
	Sent        int     `json:"sent"`
	Received    int     `json:"received"`
	LossPercent float64 `json:"loss_percent"`
	MinMS       float64 `json:"min_ms"`
	MedianMS    float64 `json:"median_ms"`
	P99MS       float64 `json:"p99_ms"`
}

// CloseFacts are about the closing handshake (RFC 6455, section 7).
type CloseFacts struct {
	Answered bool `json:"answered"`
}

// LongPollFacts are about requests over plain HTTP.
type LongPollFacts struct {
	// Works says that a session was opened, used and closed.
	Works bool `json:"works"`
	// PlainHTTP says that a request was answered, by whomever.
	PlainHTTP bool `json:"plain_http"`
	// StatusCode is that of an answer that is none of package server's.
	StatusCode int `json:"status_code,omitempty"`
	// OpenMS and CloseMS are what opening the session and closing it took, and
	// RoundTripMS a ping of its protocol: a send with its answer. The close is a
	// send, and answers to polls.
	OpenMS      float64 `json:"open_ms,omitempty"`
	RoundTripMS float64 `json:"round_trip_ms,omitempty"`
	CloseMS     float64 `json:"close_ms,omitempty"`
}

// BufferingFacts say what a path does to streams.
type BufferingFacts struct {
	// Requests is "passed on", "held", which is until they are whole, or "cannot
	// tell".
	Requests string `json:"requests"`
	// WithheldMS is how long the rest of the request was kept back, at most.
	WithheldMS float64 `json:"withheld_ms"`
}

// IdleFacts are about links that were left silent.
type IdleFacts struct {
	Links []IdleLink `json:"links"`
	// SurvivedMS is the longest silence after which a link still worked: that of
	// the wire, where pings of the server count.
	SurvivedMS float64 `json:"survived_ms"`
	// KeepaliveMS is what Keepalive.Interval should be at most for this path; 0
	// if nothing speaks against the default.
	KeepaliveMS float64 `json:"keepalive_ms,omitempty"`
	// ServerPings says that the server itself broke the silence.
	ServerPings bool `json:"server_pings"`
}

// IdleLink is one link.
type IdleLink struct {
	// PlannedMS is for how long it was to be silent, LastedMS for how long it was
	// held, until its end or the ping that asked.
	PlannedMS float64 `json:"planned_ms"`
	LastedMS  float64 `json:"lasted_ms"`
	// SilenceMS is the longest time in which nothing came or went.
	SilenceMS float64 `json:"silence_ms"`
	// End is "alive", "closed" (it ended by itself), "dead" (the ping was not
	// answered) or "called off".
	End   string `json:"end"`
	Error string `json:"error,omitempty"`
}
