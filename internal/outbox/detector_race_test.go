//go:build race

package outbox

// raceEnabled: the race detector has sync.Pool lose things, so that allocations
// cannot be counted.
const raceEnabled = true
