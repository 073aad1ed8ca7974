// Package verdict remembers for the whole process on which paths WebSocket is
// blocked, so that the next connection does not have to find it out again. It
// decides nothing but what a few observations add up to: the times are passed
// in, and nothing runs in it.
package verdict

import (
	"sync"
	"time"
)

const (
	// hardFor is how long a verdict that names its cause is remembered, softFor
	// one that is only likely.
	hardFor = time.Hour
	softFor = 5 * time.Minute

	// A second strike within strikesWithin of the one before makes a verdict.
	strikesWithin = 5 * time.Minute

	// deathsInRow early deaths make a verdict. What is further apart than
	// deathsWithin is no row: probes may lie 36 minutes apart.
	deathsInRow  = 3
	deathsWithin = time.Hour

	// maxKeys bounds a Cache.
	maxKeys = 1024
)

// Key is a path to a server: a verdict holds for one path alone.
type Key struct {
	// Origin is the server's scheme, host and port.
	Origin string
	// Egress is the interface that leads there, and Prefix the local prefix
	// that is used; both are "" where they are not known.
	Egress, Prefix string
	// Proxy is the proxy's host and port, "" for none. It holds no user-info.
	Proxy string
}

// Cache is a memory of verdicts. The zero value is empty and ready for use. It
// holds at most 1,024 paths: the one that was changed longest ago goes first,
// after those of which nothing is remembered any more. Its methods are safe for
// concurrent use.
//
// That an attempt, or a probe, has merely succeeded is no observation: some
// paths let the handshake and the first bytes pass and break the link soon
// after. Nothing is forgotten before a link has lived (Worked). In the meantime
// a verdict costs others little, since it means polling first, not polling only.
type Cache struct {
	mu      sync.Mutex
	paths   map[Key]*path // guarded by mu, and so is what they point to
	changes uint64        // guarded by mu
}

// path is what is remembered of one Key.
type path struct {
	changed uint64    // when, in changes of the Cache
	until   time.Time // end of the verdict; zero without one
	strike  time.Time // the last one; zero without one
	death   time.Time // the last of the row
	deaths  int       // in a row
}

// Process returns the Cache that all connections of the process share.
func Process() *Cache { return &process }

var process Cache

// Blocked reports whether it is remembered that WebSocket is blocked on k.
func (c *Cache) Blocked(k Key, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.paths[k]
	return p != nil && now.Before(p.until)
}

// Hard tells that the server itself has seen the upgrade stripped (426 with
// Holdfast-Diag). It is remembered for 1 h.
func (c *Cache) Hard(k Key, now time.Time) {
	c.change(k, now, func(p *path) { p.block(now.Add(hardFor)) })
}

// Soft tells that WebSocket failed while a poll to the same origin was
// welcomed: a strike. Two within 5 min of one another are remembered for 5 min
// from the later one on; each further strike within 5 min of the last renews that.
func (c *Cache) Soft(k Key, now time.Time) {
	c.change(k, now, func(p *path) {
		if p.struck(now) {
			p.block(now.Add(softFor))
		}
		p.strike = now
	})
}

// Died tells that a WebSocket link that was attached died within 30 s of that.
// Three in a row, each within 1 h of the one before, are remembered for 5 min,
// as Soft's verdict is, and so is each further one. A link that ended for a
// reason that is known (the peer's close, a change of the network, the
// program's own wish) did not die.
func (c *Cache) Died(k Key, now time.Time) {
	c.change(k, now, func(p *path) {
		if !p.dying(now) {
			p.deaths = 0
		}
		p.deaths = min(p.deaths+1, deathsInRow)
		p.death = now
		if p.deaths == deathsInRow {
			p.block(now.Add(softFor))
		}
	})
}

// Worked tells that a WebSocket link, a probe's too, was attached and has lived
// for 30 s: verdict, strikes and deaths are forgotten.
func (c *Cache) Worked(k Key, _ time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.paths, k)
}

// change makes a change to what is remembered of k.
func (c *Cache) change(k Key, now time.Time, f func(*path)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.paths[k]
	if p == nil {
		if len(c.paths) >= maxKeys {
			c.makeRoom(now)
		}
		if c.paths == nil {
			c.paths = make(map[Key]*path)
		}
		p = &path{}
		c.paths[k] = p
	}
	c.changes++
	p.changed = c.changes
	f(p)
}

// makeRoom drops what is out of date, and the oldest path if nothing is. It is
// for the holder of mu.
func (c *Cache) makeRoom(now time.Time) {
	var oldest Key
	first := c.changes + 1
	for k, p := range c.paths {
		if !now.Before(p.until) && !p.struck(now) && !p.dying(now) {
			delete(c.paths, k)
		} else if p.changed < first {
			oldest, first = k, p.changed
		}
	}
	if len(c.paths) >= maxKeys {
		delete(c.paths, oldest)
	}
}

// block sets the verdict; it never shortens one.
func (p *path) block(until time.Time) {
	if until.After(p.until) {
		p.until = until
	}
}

// struck says whether a strike now would be the second one.
func (p *path) struck(now time.Time) bool {
	return !p.strike.IsZero() && now.Sub(p.strike) <= strikesWithin
}

// dying says whether a death now would go on with the row.
func (p *path) dying(now time.Time) bool {
	return p.deaths > 0 && now.Sub(p.death) <= deathsWithin
}
