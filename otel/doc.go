// Package holdfastotel measures every Conn and every server.Session of the
// process with OpenTelemetry, and makes a span of each attempt to connect. One
// call is all; nothing changes where connections are made:
//
//	stop, err := holdfastotel.Start()
//
// # Metrics
//
//	holdfast.connection.count          up-down counter  {connection}
//	holdfast.connection.reconnects     counter          {reconnect}
//	holdfast.connection.rtt            histogram        s
//	holdfast.dial.attempts             counter          {attempt}
//	holdfast.dial.failures             counter          {attempt}
//	holdfast.dial.duration             histogram        s
//	holdfast.transport.fallbacks       counter          {fallback}
//	holdfast.transport.upgrades        counter          {upgrade}
//	holdfast.messages                  counter          {message}
//	holdfast.io                        counter          By
//	holdfast.message.drops             counter          {message}
//	holdfast.message.unknown           counter          {message}
//	holdfast.message.gaps              counter          {gap}
//	holdfast.message.unacknowledged    up-down counter  {message}
//	holdfast.queue.messages            up-down counter  {message}
//	holdfast.queue.size                up-down counter  By
//
// README.md beside this file says what each means and which attributes it has.
//
// # Attributes
//
// All have holdfast.role, "client" for a Conn and "server" for a Session, and
// url.scheme. A Conn's have server.address and server.port of its endpoint too; a
// Session's do not, since the client chooses what it calls the server. Paths, query
// keys and values, user-info, ids, principals and close reasons are in none of
// these. More than 1,000 endpoints in the life of the process are counted together,
// with otel.metric.overflow.
//
// # Spans
//
// Each attempt to connect is a span "holdfast dial" of kind client, from
// its begin until it is connected, has failed or was given up; its times are
// the events'. A failed one has error.type (the class), holdfast.dial.phase,
// http.response.status_code where there was an answer, the status Error, and the
// event "exception" with the error's text, as Options.Logger has it: with the
// endpoint's path, and without user-info and query values. It links to the attempt before. Probes of WebSocket beside a link make no
// span, but count in holdfast.dial.failures.
//
// # Cost
//
// An event costs a lock, a map lookup and a counter; messages cost nothing: their
// counts are read from Stats when metrics are collected, once for each Conn and
// Session. For one that lives there are about 200 bytes, and a span while it
// dials. There is no goroutine.
package holdfastotel
