//go:build race

package holdfast_test

// raceEnabled: the race detector has sync.Pool lose things, so that allocations
// cannot be counted.
const raceEnabled = true
