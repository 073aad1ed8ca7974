// Package chaos sends numbered messages both ways between a client and a server of
// Holdfast, through a toxiproxy that does them harm, and tells what became of the
// messages and what the client had to say.
package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// Scenario is one kind of harm.
type Scenario struct {
	// Name is for the command line, Meaning for a person.
	Name, Meaning string
	// Lives says that the link outlives the harm, and the messages get through
	// meanwhile. Otherwise connections end, and once more when the harm passes,
	// as toxiproxy then starts anew.
	Lives bool

	toxics func(vary func(int) int) []toxic
	// cut closes the server's connections after the toxics are on.
	cut bool
	// through waits for messages under the harm although links are lost.
	through bool
	// What has to happen before the harm passes.
	losses, failures, connections int
}

// Scenarios are all that there are. Their figures vary by a quarter, by the seed.
var Scenarios = []Scenario{
	{Name: "latency", Meaning: "every byte is 40 ms late, both ways", Lives: true,
		toxics: func(vary func(int) int) []toxic {
			return bothWays("latency", map[string]int{"latency": vary(40)})
		}},
	{Name: "jitter", Meaning: "bytes are 5 ms to 55 ms late, both ways", Lives: true,
		toxics: func(vary func(int) int) []toxic {
			return bothWays("latency", map[string]int{"latency": 30, "jitter": vary(20)})
		}},
	{Name: "bandwidth", Meaning: "100 KB a second, both ways", Lives: true,
		toxics: func(vary func(int) int) []toxic { return bothWays("bandwidth", map[string]int{"rate": vary(100)}) }},
	{Name: "slicer", Meaning: "bytes come in crumbs of about 96", Lives: true,
		toxics: func(vary func(int) int) []toxic {
			return bothWays("slicer", map[string]int{"average_size": vary(96), "size_variation": 24, "delay": 50})
		}},
	{Name: "slow-close", Meaning: "the server's connections close, and the client hears of it 300 ms late", cut: true, through: true, connections: 1,
		toxics: func(vary func(int) int) []toxic {
			return []toxic{{"slow_close", toClient, map[string]int{"delay": vary(300)}}}
		}},
	{Name: "reset", Meaning: "connections are reset 20 ms after the server's first byte", losses: 1, failures: 2,
		toxics: func(vary func(int) int) []toxic {
			return []toxic{{"reset_peer", toClient, map[string]int{"timeout": vary(20)}}}
		}},
	{Name: "limit", Meaning: "connections end after 6 KB from the server", connections: 3,
		toxics: func(vary func(int) int) []toxic {
			return []toxic{{"limit_data", toClient, map[string]int{"bytes": vary(6000)}}}
		}},
	{Name: "timeout", Meaning: "nothing passes, and connections end after 150 ms", losses: 1, failures: 1,
		toxics: func(vary func(int) int) []toxic { return bothWays("timeout", map[string]int{"timeout": vary(150)}) }},
	{Name: "silence", Meaning: "nothing passes, and no connection ends", losses: 1,
		toxics: func(func(int) int) []toxic { return bothWays("timeout", map[string]int{"timeout": 0}) }},
}

// Find returns the scenario of a name.
func Find(name string) (Scenario, error) {
	var names []string
	for _, s := range Scenarios {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("there is no %q; there are %s", name, strings.Join(names, ", "))
}

// Transports are those that a scenario runs over.
var Transports = []string{"websocket", "longpoll"}

// vary returns n less or more a quarter.
func vary(r *rand.Rand) func(int) int {
	return func(n int) int { return n - n/4 + r.IntN(n/2+1) }
}

// keepalive of both ends is the default where the link has to live. Where it has
// to be found dead that is soon.
func (s *Scenario) keepalive() holdfast.Keepalive {
	if s.Lives {
		return holdfast.Keepalive{}
	}
	return holdfast.Keepalive{Interval: 300 * time.Millisecond, Timeout: 700 * time.Millisecond}
}
