// Command metrics serves the metrics of its Conns to Prometheus.
//
//	go run . -listen 127.0.0.1:9464          # with a server of its own that drops its clients now and then
//	go run . -listen 127.0.0.1:9464 wss://…  # connected to yours
//	curl http://127.0.0.1:9464/metrics
//
// Queries that an operator wants:
//
//	sum by (holdfast_state) (holdfast_connection_count)                                   who is up
//	sum by (error_type) (rate(holdfast_connection_reconnects_total[5m]))                  why links are lost
//	histogram_quantile(0.99, sum by (le) (rate(holdfast_connection_rtt_seconds_bucket[5m])))  round trips
//	sum by (error_type, holdfast_dial_phase) (rate(holdfast_dial_failures_total[5m]))     why dials fail
//
// alerts.yml has alerts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	holdfastotel "github.com/holdfast-ws/holdfast/otel"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9464", "where to serve /metrics, `host:port`")
	flag.Parse()
	if flag.NArg() > 1 {
		fmt.Fprintf(os.Stderr, "metrics: one URL at most, not %d\n", flag.NArg())
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, flag.Arg(0), func(addr net.Addr) { log.Printf("http://%v/metrics", addr) }); err != nil {
		log.Fatal(err)
	}
}

// run serves metrics and keeps a Conn to url until ctx ends. With "" it makes a
// server that drops its clients every 2 s.
func run(ctx context.Context, listen, url string, ready func(net.Addr)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// The exporter is a reader of the meter provider, and holdfastotel writes to that.
	reg := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(reg), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return err
	}
	provider := metric.NewMeterProvider(metric.WithReader(exporter))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	stop, err := holdfastotel.Start(holdfastotel.WithMeterProvider(provider))
	if err != nil {
		return err
	}
	defer func() { _ = stop() }()

	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() {
		served <- srv.Serve(l)
		cancel()
	}()

	err = talk(ctx, url, func() { ready(l.Addr()) })
	_ = srv.Close()
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// talk sends a message every 200 ms, and receives the answers.
func talk(ctx context.Context, url string, ready func()) error {
	if url == "" {
		flaky, err := flaky(ctx)
		if err != nil {
			return err
		}
		defer flaky.Close()
		url = flaky.URL()
	}
	conn, err := holdfast.Dial(ctx, url, &holdfast.Options{
		Retry:     holdfast.RetryPolicy{MaxRetries: holdfast.Unlimited, InitialDelay: 200 * time.Millisecond, MaxDelay: 10 * time.Second},
		Keepalive: holdfast.Keepalive{Interval: time.Second},
	})
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }()
	ready()
	go func() {
		for ctx.Err() == nil {
			if err := conn.Send(ctx, holdfast.Text, []byte("hello")); err != nil {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	for _, err := range conn.Messages(ctx) {
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// flaky is a server that echoes, and drops its clients every 2 s.
func flaky(ctx context.Context) (*holdfasttest.Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := holdfasttest.NewServer(l)
	go func() {
		for every := time.NewTicker(2 * time.Second); ; {
			select {
			case <-ctx.Done():
				every.Stop()
				return
			case <-every.C:
				srv.DropAll()
			}
		}
	}()
	return srv, nil
}
