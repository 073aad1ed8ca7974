package serve

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-ws/holdfast/cmd/holdfast/internal/cli"
)

// maxDelay bounds what is held back.
const maxDelay = 30 * time.Second

// chaos is what the flag says. The zero value is none.
type chaos struct {
	drop  time.Duration // the average life of a connection; 0 is for ever
	delay time.Duration
	block float64 // of 1
	seed  uint64
}

func (c chaos) any() bool { return c.drop > 0 || c.delay > 0 || c.block > 0 }

// parseChaos reads NAME=VALUE,…
func parseChaos(list string) (chaos, error) {
	c := chaos{seed: rand.Uint64N(1_000_000)}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(list, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if seen[name] {
			return c, fmt.Errorf("%s stands there twice", name)
		}
		seen[name] = true
		if !ok && (name == "drop" || name == "delay" || name == "block" || name == "seed") {
			return c, fmt.Errorf("%s needs a value, such as drop=30s,delay=200ms,block=0.5", name)
		}
		var err error
		switch name {
		case "drop":
			c.drop, err = time.ParseDuration(value)
			if err != nil || c.drop < time.Millisecond {
				return c, errors.New("drop is a duration of at least 1ms, such as drop=30s")
			}
		case "delay":
			c.delay, err = time.ParseDuration(value)
			if err != nil || c.delay <= 0 || c.delay > maxDelay {
				return c, fmt.Errorf("delay is a duration of at most %v, such as delay=200ms", maxDelay)
			}
		case "block":
			c.block, err = strconv.ParseFloat(value, 64)
			if err != nil || !(c.block > 0 && c.block <= 1) {
				return c, errors.New("block is a part of 1, such as block=0.5; 1 blocks all")
			}
		case "seed":
			c.seed, err = strconv.ParseUint(value, 10, 64)
			if err != nil {
				return c, errors.New("seed is a number")
			}
		default:
			return c, fmt.Errorf("there is no fault %q; there are drop, delay, block and, to repeat them, seed", name)
		}
	}
	if !c.any() {
		return c, errors.New("seed alone makes no fault")
	}
	return c, nil
}

// String is what parseChaos reads.
func (c chaos) String() string {
	var parts []string
	if c.drop > 0 {
		parts = append(parts, "drop="+c.drop.String())
	}
	if c.delay > 0 {
		parts = append(parts, "delay="+c.delay.String())
	}
	if c.block > 0 {
		parts = append(parts, "block="+strconv.FormatFloat(c.block, 'g', -1, 64))
	}
	return strings.Join(append(parts, "seed="+strconv.FormatUint(c.seed, 10)), ",")
}

// dice decides. Each kind of fault has a sequence of its own, so that one does not
// depend on how often another is asked for.
type dice struct {
	chaos
	mu            sync.Mutex
	lives, blocks *rand.Rand
}

func newDice(c chaos) *dice {
	return &dice{chaos: c, lives: rand.New(rand.NewPCG(c.seed, 1)), blocks: rand.New(rand.NewPCG(c.seed, 2))}
}

// life is how long the next connection lives; 0 is for ever.
func (d *dice) life() time.Duration {
	if d.drop == 0 {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return 1 + time.Duration(d.lives.Int64N(2*int64(d.drop)))
}

// blocked says whether the next WebSocket handshake is.
func (d *dice) blocked() bool {
	if d.block == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.blocks.Float64() < d.block
}

// blocking answers some WebSocket handshakes as a proxy that allows none would.
func blocking(next http.Handler, d *dice, log *journal) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && d.blocked() {
			log.say("chaos: blocked the WebSocket handshake of %s for %s", r.RemoteAddr, r.URL.Path)
			w.Header().Set("Via", "1.1 chaos")
			http.Error(w, "This proxy allows no WebSocket.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// journal is the log: lines with the time of day.
type journal struct {
	mu    sync.Mutex
	write func(line string)
	color cli.Palette
}

// say writes a line. What clients have sent cannot drive the terminal.
func (j *journal) say(format string, args ...any) {
	line := cli.Visible(fmt.Sprintf(format, args...))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.write(j.color.Paint(cli.Dim, time.Now().Format("15:04:05.000")) + " " + line + "\n")
}
