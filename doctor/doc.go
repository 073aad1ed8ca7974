// Package doctor finds out why a WebSocket connection does not come about, or
// how good it is: what an expert would check by hand, in order and timed.
//
//	report, err := doctor.Run(ctx, "wss://example.com/stream", nil)
//	if err != nil {
//		return err // an argument that cannot be right
//	}
//	fmt.Println(report.Verdict.Summary, report.Verdict.Advice)
//
// It makes a connection as a holdfast.Conn does, through the same dialler, and
// explains it by the same table, so that both come to the same class. It sends no
// message of its own. A server of package server is asked over a link that is
// opened and not attached, so that its handler does not run; but it does, and is
// closed with 1000, where long polling is tried, and for a link that is held
// idle. Other servers see a WebSocket that is pinged and closed.
//
// # The steps
//
//	url          scheme, host and port
//	proxy        which one is used, and what says so
//	network      interfaces, and the way to the next host: the proxy, or the server
//	dns          each address of the next host, A and AAAA
//	tcp          a connection to each of them
//	tunnel       the proxy's answer to CONNECT or SOCKS; only with a proxy
//	tls          version, cipher suite, and the certificates, also those that do not verify
//	upgrade      the answer to the WebSocket handshake, and who answered
//	subprotocol  the one that was chosen
//	ping         round trips and loss
//	close        the closing handshake
//	longpoll     whether package server can be polled; without it, whether plain HTTP is answered
//	buffering    whether something on the way holds requests until they are whole
//	idle         how long a silent link lives; only with Options.Idle
//
// # JSON
//
// A Report is marshalled with the schema that its field Schema numbers: fields
// may be added, and those that there are keep their meaning, until the number
// changes. Times of day are RFC 3339; fields that end in _ms are milliseconds,
// with a fraction, those in _days days. The facts of a step are the type that is
// named like it: DNSFacts, TLSFacts and so on; a step that was skipped, or came to
// none, has none. Names of steps, statuses and classes are lower-case words.
//
// No report has user-info, query values, credentials, cookies, or a value of
// Options.Header of at least eight bytes, nor what quotes one of them.
package doctor
