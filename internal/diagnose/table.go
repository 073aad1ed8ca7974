package diagnose

import "github.com/holdfast-ws/holdfast/transport"

// row is one kind of failure. The first row whose condition holds decides.
type row struct {
	when     match
	class    transport.Class
	decision transport.Decision
	hint     hint
}

const (
	retry  = transport.DecisionRetry
	slowly = transport.DecisionRetrySlowly
	reauth = transport.DecisionReauthorize
	stop   = transport.DecisionStop
)

// table is made of sections that exclude one another or stand in order: what
// the program's own code decides, whether this host is offline, answers with a
// status, the words of TLS, and then what is left when nobody answered.
var table = join(callbackRows, sessionRows, proxyAnswerRows, answerRows, tlsRows, localRows, proxyRows, networkRows, restRows)

func join(sections ...[]row) (rows []row) {
	for _, section := range sections {
		rows = append(rows, section...)
	}
	return rows
}

// The program's own code: Authorize, OnConnect, and whatever it hands in.
// Being offline comes before its ordinary errors, which are then a consequence.
var callbackRows = []row{
	{insecure, transport.ClassCallback, stop,
		say("credentials were not sent to %s over a connection without TLS: use wss:// or https://, or set AllowInsecureCredentials", where)},
	{permanent, transport.ClassCallback, stop,
		say("the program's own code returned a permanent error in phase %s: see the cause, and connect afresh once it is cured", phaseName)},
	{all(unreachable, wordless), transport.ClassOffline, retry,
		say("this host has no way to %s now: check cable, Wi-Fi, VPN and routes; it goes on as soon as the network is back", next)},
	{phase(transport.PhaseAuthorize), transport.ClassCallback, retry,
		say("the program's Authorize returned an error or took too long: see the cause; return backoff.Permanent to stop retrying")},
	{phase(transport.PhaseOnConnect), transport.ClassCallback, retry,
		say("the link was made, but the program's OnConnect returned an error or took too long: see the cause; return backoff.Permanent to stop retrying")},
}

// The session, and WebSocket beside a fallback that the same server welcomed.
var sessionRows = []row{
	{notSticky, transport.ClassNotSticky, slowly,
		say("requests for %s reach servers that do not know the session: the balancer in front of them is not sticky, so bind clients to servers by a cookie or by address", where)},
	{all(noSession, sessionRequired), transport.ClassRejected, stop,
		say("%s is a plain WebSocket endpoint, and Options.Session requires the session protocol: is the path right, and is package server behind it?", where)},
	{noSession, transport.ClassRejected, retry,
		say("%s answered without the session protocol that it spoke before: an older version may be running there, or something on the way strips headers", where)},
	{all(welcomed, status(426), stripped), transport.ClassBlocked, retry,
		say("a proxy on the way to %s removes the Upgrade header, as the server itself says: it passes plain HTTP only, so the fallback is used", where)},
	{welcomed, transport.ClassBlocked, retry,
		say("%s answers over plain HTTP and not over WebSocket: a proxy or firewall on the way may block it; the fallback is used, and WebSocket tried again from time to time", where)},
}

// Answers of a proxy to CONNECT (RFC 9110, section 9.3.6).
var atProxy = phase(transport.PhaseProxy)

var proxyAnswerRows = []row{
	{all(atProxy, status(407)), transport.ClassProxyAuth, stop, // RFC 9110, 15.5.8
		say("%s wants credentials for itself: put user and password into the proxy's URL, as in http://user:password@proxy:3128", answerer)},
	{all(atProxy, anyOf(status(408, 429), statusIn(500, 599))), transport.ClassProxyDown, retry,
		say("%s answered %s to CONNECT: it is overloaded, or cannot reach %s from where it stands", answerer, statusLine, where)},
	{all(atProxy, statusIn(400, 499)), transport.ClassProxyRefused, stop,
		say("%s answered %s to CONNECT: its rules do not allow %s, so ask who runs it, or exempt the host through NO_PROXY", answerer, statusLine, where)},
	{all(atProxy, answered), transport.ClassProxyDown, retry,
		say("%s answered %s to CONNECT, which makes no tunnel: is the proxy's URL right?", answerer, statusLine)},
}

// Answers of the server, or of what stands in its place.
var answerRows = []row{
	// Someone else: RFC 6585, section 6; redirects; RFC 6455, section 4.1.
	{status(511), transport.ClassIntercepted, retry,
		say("%s answered %s: a captive portal wants a login first, so open a web page in a browser on this network", answerer, statusLine)},
	{all(answered, downgraded), transport.ClassIntercepted, retry,
		say("a redirect led from TLS to plain HTTP at %s: a captive portal may be answering, or the server redirects wrongly", place)},
	{all(elsewhere, statusIn(200, 499), not(status(407, 408, 429))), transport.ClassIntercepted, retry,
		say("a redirect led to %s, which answered %s: a captive portal or login page may be answering; if the redirect is right, use its target as the URL",
			place, statusLine)},
	{statusIn(100, 199), transport.ClassIntercepted, retry,
		say("%s answered %s, but not with a valid WebSocket upgrade: something on the way changes headers, or the server chose a subprotocol that was not offered",
			answerer, statusLine)},
	{all(statusIn(200, 299), isHTML), transport.ClassIntercepted, retry,
		say("%s answered %s to %s: is the path right? a captive portal or proxy may be answering in its place", answerer, statusAndType, path)},
	{statusIn(200, 299), transport.ClassIntercepted, retry,
		say("%s answered %s to %s without upgrading: is that a WebSocket endpoint? a proxy on the way may have removed the Upgrade header",
			answerer, statusAndType, path)},
	{statusIn(300, 399), transport.ClassIntercepted, retry,
		say("%s answered %s, a redirect that was not followed, to %s: use its target as the URL if it is right; a captive portal may be answering",
			answerer, statusLine, target)},

	// Credentials: RFC 9110, 15.5.2, 15.5.4, 15.5.8.
	{all(status(401), hasAuthorize, authorizedAgain), transport.ClassUnauthorized, stop,
		say("%s did not accept the credentials (%s), though Authorize was asked to renew them: does it, when its last argument says 401?", answerer, statusLine)},
	{all(status(401), hasAuthorize), transport.ClassUnauthorized, reauth,
		say("%s did not accept the credentials that Authorize gave (%s): have they expired?", answerer, statusLine)},
	{status(401), transport.ClassUnauthorized, stop,
		say("%s wants credentials (%s): set Options.Authorize, or Authorization in Options.Header", answerer, statusLine)},
	{all(status(403), hasAuthorize, authorizedAgain), transport.ClassUnauthorized, stop,
		say("%s refuses these credentials (%s), those that Authorize renewed too: do they have the right, and is the Origin allowed?", answerer, statusLine)},
	{all(status(403), hasAuthorize), transport.ClassUnauthorized, reauth,
		say("%s refuses these credentials here (%s): do they have the right, and is the Origin allowed?", answerer, statusLine)},
	{status(403), transport.ClassUnauthorized, stop,
		say("%s refuses access (%s): check credentials, the Origin header and the server's list of allowed addresses", answerer, statusLine)},
	{status(407), transport.ClassProxyAuth, stop,
		say("%s answered %s: a proxy on the way wants credentials, so name it with user and password in Options.Proxy", answerer, statusLine)},

	// The path: RFC 9110, 15.5.5, 15.5.11.
	{all(status(404), stable), transport.ClassNotFound, slowly,
		say("%s has nothing at %s now, where a link was held before: a deployment may be under way", answerer, path)},
	{status(404), transport.ClassNotFound, stop,
		say("%s has nothing at %s: check the path of the URL", answerer, path)},
	{status(410), transport.ClassNotFound, slowly,
		say("%s says that what was at %s is gone for good: look for its successor", answerer, path)},

	// The upgrade: RFC 9110, 15.5.1, 15.5.22, 15.6.2; RFC 6455, section 4.2.2.
	{all(status(400), hasFallback), transport.ClassBlocked, retry,
		say("%s does not take the WebSocket upgrade (%s)%s: a proxy on the way may be changing it", answerer, statusLine, orTLS)},
	{all(status(426), hasFallback), transport.ClassBlocked, retry,
		say("%s saw no usable upgrade (%s): a proxy on the way may have removed it", answerer, statusLine)},
	{all(status(501), hasFallback), transport.ClassBlocked, retry,
		say("%s cannot do the upgrade (%s): it may not be meant for this path", answerer, statusLine)},
	{all(status(400), plain), transport.ClassRejected, retry,
		say("%s answered %s: if this port speaks TLS, use wss:// or https://; if not, look at headers, subprotocols and query", answerer, statusLine)},
	{status(400), transport.ClassRejected, retry,
		say("%s answered %s: look at path, headers, subprotocols and query, and at proxies that change the upgrade", answerer, statusLine)},
	{status(426), transport.ClassRejected, retry,
		say("%s saw no usable WebSocket upgrade (%s): a proxy on the way may have removed it, or it is not meant for this path", answerer, statusLine)},
	{status(501), transport.ClassRejected, retry,
		say("%s cannot do WebSocket here (%s): check the URL, and proxies on the way", answerer, statusLine)},

	// Load: RFC 9110, 15.5.9, 15.6; RFC 6585, section 4.
	{status(429), transport.ClassOverloaded, retry,
		say("%s says that too many requests came from here (%s): connect more rarely or with fewer clients%s", answerer, statusLine, afterWait)},
	{status(408), transport.ClassOverloaded, retry,
		say("%s gave up waiting for the request (%s): it is overloaded, or the way to it is slow%s", answerer, statusLine, afterWait)},
	{status(502, 504), transport.ClassOverloaded, retry,
		say("%s answered %s: a gateway is up, but the application behind it does not answer%s", answerer, statusLine, afterWait)},
	{status(503), transport.ClassOverloaded, retry,
		say("%s answered %s: it is overloaded or in maintenance%s", answerer, statusLine, afterWait)},
	{statusIn(500, 599), transport.ClassOverloaded, retry,
		say("%s answered %s: it failed inside, so its own log knows why%s", answerer, statusLine, afterWait)},

	// The request: RFC 9110, 15.5; RFC 6585, section 5.
	{status(405), transport.ClassRejected, retry,
		say("%s does not take GET at %s (%s), so WebSocket is not served there: check the path", answerer, path, statusLine)},
	{status(413, 414, 431), transport.ClassRejected, retry,
		say("%s finds the request too large (%s): shorten headers, cookies or query", answerer, statusLine)},
	{status(421), transport.ClassRejected, retry,
		say("%s does not serve this host name (%s): check the host in the URL, Options.Host and TLSConfig.ServerName", answerer, statusLine)},
	{statusIn(400, 499), transport.ClassRejected, retry,
		say("%s refused the request with %s: see its documentation for what it expects at %s", answerer, statusLine, path)},
	{answered, transport.ClassIntercepted, retry,
		say("the answer has status %s, which is none of HTTP's: what listens at %s may not be a web server", statusLine, where)},
}

// TLS, with the server or with a proxy that is spoken to over TLS.
var tlsRows = []row{
	// Certificates: RFC 5280, section 6; RFC 9525 for the name.
	{all(wrongName, stable), transport.ClassTLSTrust, slowly,
		say("the certificate is for %s, not for %s as before: a captive portal or inspecting proxy may be answering in the server's place", certNames, wantedName)},
	{wrongName, transport.ClassTLSTrust, stop,
		say("the certificate is for %s, not for %s: check the host in the URL, or TLSConfig.ServerName", certNames, wantedName)},
	{chainOutOfDate, transport.ClassTLSTrust, slowly,
		say("a certificate above that of %s is outside its dates, by this host's clock, which says %s: renew the chain, or set the clock if it is wrong", peer, today)},
	{notYetValid, transport.ClassTLSTrust, slowly,
		say("the certificate of %s is valid from %s, and this host's clock says %s: set the clock", peer, certStart, today)},
	{outOfDate, transport.ClassTLSTrust, slowly,
		say("the certificate of %s was valid until %s, and this host's clock says %s: renew the certificate, or set the clock if it is ahead", peer, certEnd, today)},
	{unknownAuthority, transport.ClassTLSTrust, slowly,
		say("the certificate of %s comes from %s, whom this host does not trust: add that root to TLSConfig.RootCAs, or look for a captive portal or inspecting proxy",
			peer, certIssuer)},
	{noRoots, transport.ClassTLSTrust, stop,
		say("this host has no usable root certificates: install its package of them (often ca-certificates), or set TLSConfig.RootCAs")},
	{untrusted, transport.ClassTLSTrust, stop,
		say("the certificate of %s does not verify: its issuer has to mend it, see the cause for what is wrong", peer)},

	// Something else than TLS: RFC 8446, section 5.1.
	{all(atProxy, notTLS), transport.ClassWrongScheme, stop,
		say("the proxy does not speak TLS on this port: use http:// in the proxy's URL")},
	{all(schemeMismatch, stable), transport.ClassWrongScheme, slowly,
		say("%s speaks plain HTTP, where it spoke TLS before: a captive portal or proxy may be answering in its place", where)},
	{all(notTLS, stable), transport.ClassWrongScheme, slowly,
		say("%s does not speak TLS as before, its first bytes are %s: something else may be answering in its place", where, firstBytes)},
	{schemeMismatch, transport.ClassWrongScheme, stop,
		say("%s speaks plain HTTP, not TLS: use ws:// or http://, or the port that speaks TLS", where)},
	{notTLS, transport.ClassWrongScheme, stop,
		say("%s does not speak TLS, its first bytes are %s: check the port", where, firstBytes)},

	// RFC 8446, section 6.
	{alerted, transport.ClassTLS, retry,
		say("%s ended TLS with an alert: it may want a client certificate, another TLS version or another server name", peer)},
}

// This host: its rules and its limits.
var localRows = []row{
	{all(dialing, errno(errnoForbidden)), transport.ClassLocalPolicy, slowly,
		say("this host forbids the connection to %s: look at its firewall, its prohibit routes and the sandbox of this process", next)},
	{all(dialing, errno(errnoInvalid)), transport.ClassLocalPolicy, slowly,
		say("this host cannot route to %s: look for a blackhole route, or for a link-local address without its zone", next)},
	{errno(errnoNoFiles), transport.ClassUnknown, retry,
		say("this host is out of file descriptors or socket memory: look for connections that are never closed, or raise the limit")},
	{errno(errnoNoAddress), transport.ClassUnknown, retry,
		say("this host has no free local address or port for %s: is its address set, and are connections being closed?", next)},
	{canceled, transport.ClassUnknown, retry,
		say("the attempt was called off before it was done")},
}

// A proxy that does not answer, or ends the conversation without a status.
// Up to PhaseProxy whatever is resolved and connected to is the proxy.
var toProxy = anyOf(proxied, atProxy)

var proxyRows = []row{
	{all(toProxy, isDNS), transport.ClassProxyDown, retry,
		say("the name of the proxy, %s, cannot be resolved: check the proxy's URL (Options.Proxy, or HTTPS_PROXY in the environment)", lookedUp)},
	{all(toProxy, anyOf(phase(transport.PhaseResolve, transport.PhaseConnect), dialing)), transport.ClassProxyDown, retry,
		say("the proxy cannot be connected to: is it running, and is its URL right (Options.Proxy, or HTTPS_PROXY in the environment)?")},
	{all(atProxy, timedOut), transport.ClassProxyDown, retry,
		say("the proxy did not answer in time: is it running, is its URL right (Options.Proxy, or HTTPS_PROXY in the environment), and can it reach %s?", where)},
	{atProxy, transport.ClassProxyDown, retry,
		say("the proxy made no tunnel to %s: it may not reach it, want credentials, or be a proxy of another kind (http, https, socks5)", where)},
}

// The network between, and the server's host.
var networkRows = []row{
	{errno(errnoRefused), transport.ClassServerDown, retry,
		say("nothing listens on %s, or a firewall refuses: is the server running, and is the port right?", where)},
	{errno(errnoUnreachable), transport.ClassUnreachable, retry,
		say("this host is not offline, but the network says that %s cannot be reached: is that machine up, and the VPN to it? an unreachable route of this host says the same", where)},

	// DNS: RFC 1035, section 4.1.1; RFC 2308.
	{noSuchName, transport.ClassName, slowly,
		say("the name %s has no address: check the spelling; some names are known only inside a VPN", lookedUp)},
	{dnsTimeout, transport.ClassDNS, retry,
		say("no name server answered in time for %s: check this host's DNS settings and whether port 53 is open", lookedUp)},
	{isDNS, transport.ClassDNS, retry,
		say("the name servers failed for %s: look at the resolver and at the domain's own servers", lookedUp)},

	{all(phase(transport.PhaseConnect), timedOut), transport.ClassTimeout, retry,
		say("%s did not answer in time: a firewall may be dropping packets, or the address or port is wrong", where)},
	{all(phase(transport.PhaseTLS), timedOut), transport.ClassTimeout, retry,
		say("%s took the connection, but TLS was not done in time: does that port speak TLS? a firewall may be holding it", where)},
	{all(phase(transport.PhaseHandshake), timedOut), transport.ClassTimeout, retry,
		say("%s took the request, but did not answer it in time: it is overloaded, or a proxy on the way holds upgrades back", where)},
	{timedOut, transport.ClassTimeout, retry,
		say("the attempt to reach %s was not done in time: raise HandshakeTimeout if the network is slow", where)},

	{all(phase(transport.PhaseTLS), broken), transport.ClassTransient, retry,
		say("the connection to %s ended during the TLS handshake: a firewall may be cutting it, or the port does not speak TLS", where)},
	{all(broken, plain), transport.ClassTransient, retry,
		say("%s ended the connection without an answer: it may be restarting; if this port speaks TLS, use wss:// or https://", where)},
	{broken, transport.ClassTransient, retry,
		say("the connection to %s ended before the answer: the server may be restarting, or something on the way cuts upgrades", where)},
}

var restRows = []row{
	{phase(transport.PhaseTLS), transport.ClassTLS, retry,
		say("no TLS could be agreed on with %s: see the cause, and compare TLS versions and TLSConfig on both sides", peer)},
	{func(*failure) bool { return inBrowser }, transport.ClassUnknown, retry,
		say("the browser does not tell programs why %s could not be connected to: its developer console may", where)},
	{phase(transport.PhaseHandshake), transport.ClassUnknown, retry,
		say("the answer of %s could not be read as HTTP: check the port, and ws:// against wss://", where)},
	{always, transport.ClassUnknown, retry,
		say("no known kind of failure: see the cause")},
}
