// Package integration runs Holdfast through real middleboxes: nginx, HAProxy,
// squid and tinyproxy, each a child process on loopback with a configuration from
// testdata, and through toxiproxy, which runs in the tests' own process. It is a
// module of its own, of tests and of commands that do harm. The tests need Linux.
//
//	./install.sh           # the middleboxes, from Debian's packages; as root
//	go test -v .           # ends with a table of the times to the first message
//	go test -v -count=5 .  # their medians
//	go test ./...          # the commands too
//
// A test whose middlebox is not installed is skipped, or fails where
// REQUIRE_MIDDLEBOXES=1 is set. The times are measured and not asserted.
//
// The storm drives one connection through faults drawn from a seed, over both
// transports, and checks that each of its messages arrives once and in order:
//
//	go run ./storm -messages 1000000 -faults 200 -seed 1
//	go run ./storm -messages 20000 -faults 20  # a short one, 15 s
//
// Chaos does one kind of harm after the other, as toxiproxy knows it: latency,
// jitter, little bandwidth, resets and more, over each transport.
//
//	go run ./chaos        # ends with a table; -list shows the scenarios
//
// Herd lets thousands of clients lose their server, and come back, for real.
// Simulate does the same to a million in virtual time. Their figures are in
// docs/storms.md.
//
//	go run ./herd         # 5,000 clients, three ways of spacing attempts
//	go run ./simulate
package integration
