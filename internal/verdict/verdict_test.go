package verdict_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/holdfast-ws/holdfast/internal/verdict"
)

var (
	start = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	here  = verdict.Key{Origin: "https://example.com:443", Egress: "eth0", Prefix: "192.0.2.0/24", Proxy: "proxy:3128"}
)

func TestVerdicts(t *testing.T) {
	type step struct {
		at   time.Duration // since start
		what string        // hard, soft, died, worked; "" only looks
		want bool          // blocked, after it
	}
	const ms, s, m, h = time.Millisecond, time.Second, time.Minute, time.Hour
	for name, steps := range map[string][]step{
		"nothing is known": {{0, "", false}},
		"hard, at once and for an hour": {
			{0, "hard", true}, {h - ms, "", true}, {h, "", false}},
		"hard again goes on": {
			{0, "hard", true}, {50 * m, "hard", true}, {110*m - ms, "", true}, {110 * m, "", false}},
		"hard, and it worked": {
			{0, "hard", true}, {m, "worked", false}, {2 * m, "", false}},
		"one strike is none": {
			{0, "soft", false}, {6 * m, "", false}},
		"two strikes, for five minutes": {
			{0, "soft", false}, {m, "soft", true}, {6*m - ms, "", true}, {6 * m, "", false}},
		"two strikes at once": {
			{0, "soft", false}, {0, "soft", true}},
		"two strikes five minutes apart": {
			{0, "soft", false}, {5 * m, "soft", true}},
		"two strikes too far apart": {
			{0, "soft", false}, {5*m + ms, "soft", false}, {10*m + ms, "soft", true}},
		"a third strike adds to it": {
			{0, "soft", false}, {m, "soft", true}, {5 * m, "soft", true}, {10*m - ms, "", true}, {10 * m, "", false}},
		"a strike after the verdict is a first one": {
			{0, "soft", false}, {0, "soft", true}, {5*m + ms, "soft", false}},
		"it worked between two strikes": {
			{0, "soft", false}, {m, "worked", false}, {2 * m, "soft", false}, {3 * m, "soft", true}},
		"soft does not shorten hard": {
			{0, "hard", true}, {0, "soft", true}, {m, "soft", true}, {h - ms, "", true}, {h, "", false}},
		"hard lengthens soft": {
			{0, "soft", false}, {0, "soft", true}, {m, "hard", true}, {m + h - ms, "", true}, {m + h, "", false}},
		"three deaths": {
			{0, "died", false}, {m, "died", false}, {2 * m, "died", true}, {7*m - ms, "", true}, {7 * m, "", false}},
		"a fourth death brings it back": {
			{0, "died", false}, {0, "died", false}, {0, "died", true}, {20 * m, "", false}, {20 * m, "died", true}, {25 * m, "", false}},
		"deaths as far apart as probes": {
			{0, "died", false}, {36*m + 30*s, "died", false}, {73 * m, "died", true}},
		"deaths too far apart": {
			{0, "died", false}, {m, "died", false}, {m + h + ms, "died", false}, {m + h + s, "died", false}, {m + h + 2*s, "died", true}},
		"it worked between two deaths": {
			{0, "died", false}, {m, "died", false}, {2 * m, "worked", false}, {3 * m, "died", false}, {4 * m, "died", false}, {5 * m, "died", true}},
		"it worked after three deaths": {
			{0, "died", false}, {0, "died", false}, {0, "died", true}, {m, "worked", false}, {m, "died", false}},
		"a death is no strike": {
			{0, "died", false}, {0, "soft", false}, {0, "died", false}, {0, "soft", true}},
	} {
		t.Run(name, func(t *testing.T) {
			var c verdict.Cache
			for i, s := range steps {
				now := start.Add(s.at)
				switch s.what {
				case "hard":
					c.Hard(here, now)
				case "soft":
					c.Soft(here, now)
				case "died":
					c.Died(here, now)
				case "worked":
					c.Worked(here, now)
				}
				assert.Equal(t, s.want, c.Blocked(here, now), "step %d, %q at %v", i, s.what, s.at)
			}
		})
	}
}

func TestKeysAreApart(t *testing.T) {
	var c verdict.Cache
	c.Hard(here, start)
	for name, other := range map[string]func(*verdict.Key){
		"origin": func(k *verdict.Key) { k.Origin = "http://example.com:80" },
		"egress": func(k *verdict.Key) { k.Egress = "wlan0" },
		"prefix": func(k *verdict.Key) { k.Prefix = "198.51.100.0/24" },
		"proxy":  func(k *verdict.Key) { k.Proxy = "" },
	} {
		k := here
		other(&k)
		assert.False(t, c.Blocked(k, start), name)
		c.Worked(k, start)
	}
	assert.True(t, c.Blocked(here, start))
}

func key(i int) verdict.Key { return verdict.Key{Origin: strconv.Itoa(i)} }

func TestBounded(t *testing.T) {
	const most = 1024
	var c verdict.Cache
	for i := range most {
		c.Hard(key(i), start)
	}
	c.Hard(key(0), start) // no longer the oldest
	c.Hard(key(most), start)
	assert.False(t, c.Blocked(key(1), start), "the oldest has gone")
	blocked := 0
	for i := range most + 1 {
		if c.Blocked(key(i), start) {
			blocked++
		}
	}
	assert.Equal(t, most, blocked)
}

func TestWhatIsOutOfDateGoesFirst(t *testing.T) {
	const most = 1024
	var c verdict.Cache
	c.Hard(key(0), start) // the oldest, and the one that lasts
	c.Died(key(1), start) // goes on for as long
	for i := 2; i < most; i++ {
		c.Soft(key(i), start)
	}
	later := start.Add(10 * time.Minute)
	for i := range most - 2 {
		c.Hard(key(most+i), later)
	}
	assert.True(t, c.Blocked(key(0), later))
	c.Died(key(1), later)
	c.Died(key(1), later)
	assert.True(t, c.Blocked(key(1), later))
	c.Soft(key(2), start.Add(time.Minute))
	assert.False(t, c.Blocked(key(2), start.Add(time.Minute)), "its strike is forgotten")
}

func TestProcess(t *testing.T) {
	k := verdict.Key{Origin: t.Name()}
	verdict.Process().Hard(k, start)
	assert.True(t, verdict.Process().Blocked(k, start))
	verdict.Process().Worked(k, start)
	assert.False(t, verdict.Process().Blocked(k, start))
}

func TestConcurrentUse(t *testing.T) {
	var c verdict.Cache
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 600 {
				k := key(i % 3 * (g + 1) * i)
				c.Soft(k, start)
				c.Died(k, start)
				c.Hard(k, start)
				c.Blocked(k, start)
				if i%5 == 0 {
					c.Worked(k, start)
				}
			}
			c.Hard(here, start)
		})
	}
	wg.Wait()
	assert.True(t, c.Blocked(here, start))
}
