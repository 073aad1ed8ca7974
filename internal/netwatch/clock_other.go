//go:build !linux

package netwatch

import "time"

// sleepClock is the wall clock. When somebody sets it forward, that is taken for
// a sleep, which costs a ping.
func sleepClock() time.Duration { return time.Duration(time.Now().UnixNano()) }
