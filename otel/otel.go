package holdfastotel

import (
	"errors"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
)

// scope names the instrumentation.
const scope = "github.com/holdfast-ws/holdfast/otel"

// Option is an argument of Start.
type Option func(*config) error

type config struct {
	meters  metric.MeterProvider
	tracers trace.TracerProvider
}

// WithMeterProvider says who gets the metrics; otel.GetMeterProvider by default.
// The one of package go.opentelemetry.io/otel/metric/noop turns them off.
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(c *config) error {
		if p == nil {
			return &holdfast.OptionError{Field: "WithMeterProvider", Err: errors.New("the provider is nil")}
		}
		c.meters = p
		return nil
	}
}

// WithTracerProvider says who gets the spans; otel.GetTracerProvider by default.
// The one of package go.opentelemetry.io/otel/trace/noop turns them off.
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(c *config) error {
		if p == nil {
			return &holdfast.OptionError{Field: "WithTracerProvider", Err: errors.New("the provider is nil")}
		}
		c.tracers = p
		return nil
	}
}

// Start measures all Conns and Sessions of the process, those too that there are
// already, until stop is called: once a process, since with the same providers a
// second call would count everything twice. Counts of messages go back to each
// one's begin; what is made of events begins with Start.
//
// stop ends the spans under way. Metrics that were not collected before are
// lost, so shut the provider down first. It may be called again, and returns what
// the meter provider says to it. Start's error is a *holdfast.OptionError, or the
// meter provider's, and then nothing was started.
func Start(options ...Option) (stop func() error, err error) {
	c := config{meters: otel.GetMeterProvider(), tracers: otel.GetTracerProvider()}
	for _, o := range options {
		if o == nil {
			return nil, &holdfast.OptionError{Field: "options", Err: errors.New("one of them is nil")}
		}
		if err := o(&c); err != nil {
			return nil, err
		}
	}
	w := &watcher{tracer: c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		tracked: map[*registry.Member]*tracked{}, series: map[target]*series{}, counts: map[place]int64{}}
	registration, err := w.register(c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)))
	if err != nil {
		return nil, err
	}
	unwatch := registry.Watch(w)
	w.begin()
	return sync.OnceValue(func() error {
		unwatch()
		w.end()
		return registration.Unregister()
	}), nil
}
