package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/log"
)

// toxic is one of toxiproxy's, by its name there, and its attributes.
type toxic struct {
	kind       string
	stream     string // one of those below
	attributes map[string]int
}

// Directions of a toxic.
const (
	toServer = "upstream"
	toClient = "downstream"
)

// bothWays is the same toxic in each direction.
func bothWays(kind string, attributes map[string]int) []toxic {
	return []toxic{{kind, toServer, attributes}, {kind, toClient, attributes}}
}

// toxiproxy also logs to a logger of the whole process.
func init() { log.Logger = zerolog.Nop() }

// weather is a toxiproxy between client and server, at one address for a whole run.
type weather struct {
	api      *toxiproxy.ApiServer
	addr     string
	upstream string
	proxy    *toxiproxy.Proxy
	names    []string // of the toxics that are on
}

func newWeather(upstream string) (*weather, error) {
	w := &weather{addr: "127.0.0.1:0", upstream: upstream}
	w.api = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	if err := w.start(); err != nil {
		return nil, err
	}
	w.addr = w.proxy.Listen
	return w, nil
}

func (w *weather) start() error {
	w.proxy = toxiproxy.NewProxy(w.api, "weather", w.addr, w.upstream)
	if err := w.proxy.Start(); err != nil {
		return fmt.Errorf("toxiproxy at %s: %w", w.addr, err)
	}
	return nil
}

// set adds toxics, also to the connections that there are.
func (w *weather) set(all []toxic) error {
	return bounded("add a toxic", func() error {
		for _, t := range all {
			text, err := json.Marshal(map[string]any{"type": t.kind, "stream": t.stream, "attributes": t.attributes})
			if err != nil {
				return err
			}
			added, err := w.proxy.Toxics.AddToxicJson(bytes.NewReader(text))
			if err != nil {
				return fmt.Errorf("toxic %s: %w", t.kind, err)
			}
			w.names = append(w.names, added.Name)
		}
		return nil
	})
}

// lift takes the toxics away from connections that live, and nothing is lost.
func (w *weather) lift(ctx context.Context) error {
	return bounded("remove a toxic", func() error {
		for _, name := range w.names {
			if err := w.proxy.Toxics.RemoveToxic(ctx, name); err != nil {
				return fmt.Errorf("toxic %s: %w", name, err)
			}
		}
		w.names = nil
		return nil
	})
}

// clear begins anew without toxics. It ends every connection: toxiproxy can wait
// for ever for one that dies while a toxic is removed from it.
func (w *weather) clear() error {
	w.stop()
	w.names = nil
	return w.start()
}

func (w *weather) stop() { w.proxy.Stop() }

// bounded gives toxiproxy's own waits, which have no bound, one.
func bounded(what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errors.New("toxiproxy takes more than 10 s to " + what)
	}
}
