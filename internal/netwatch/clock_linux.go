package netwatch

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepClock is CLOCK_BOOTTIME: like CLOCK_MONOTONIC, by which timers run, but
// it goes on while the host sleeps. No one can set it.
func sleepClock() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
