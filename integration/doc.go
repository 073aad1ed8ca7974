// Package integration runs Holdfast through real middleboxes: nginx, HAProxy,
// squid and tinyproxy, each a child process on loopback with a configuration from
// testdata. It is a module of its own, and everything in it is a test, but for
// the storm. The tests need Linux.
//
//	./install.sh           # the middleboxes, from Debian's packages; as root
//	go test -v .           # ends with a table of the times to the first message
//	go test -v -count=5 .  # their medians
//
// A test whose middlebox is not installed is skipped, or fails where
// REQUIRE_MIDDLEBOXES=1 is set. The times are measured and not asserted.
//
// The storm drives one connection through faults drawn from a seed, over both
// transports, and checks that each of its messages arrives once and in order:
//
//	go run ./storm -messages 1000000 -faults 200 -seed 1
//	go run ./storm -messages 20000 -faults 20  # a short one, 15 s
package integration
