package holdfastotel_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	holdfastotel "github.com/holdfast-ws/holdfast/otel"
)

// made remembers the instruments that are made.
type made struct {
	rows []string
	fail bool
}

func (m *made) row(name, instrument, unit, description string) error {
	m.rows = append(m.rows, name+" "+instrument+" "+unit)
	if description == "" || m.fail {
		return errors.New("no " + name)
	}
	return nil
}

func (m *made) provider() metric.MeterProvider { return madeProvider{made: m} }

type madeProvider struct {
	noop.MeterProvider
	made *made
}

func (p madeProvider) Meter(string, ...metric.MeterOption) metric.Meter {
	return madeMeter{made: p.made}
}

type madeMeter struct {
	noop.Meter
	made *made
}

func (m madeMeter) Int64Counter(name string, o ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	c := metric.NewInt64CounterConfig(o...)
	return noop.Int64Counter{}, m.made.row(name, "counter", c.Unit(), c.Description())
}

func (m madeMeter) Int64ObservableCounter(name string, o ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	c := metric.NewInt64ObservableCounterConfig(o...)
	return noop.Int64ObservableCounter{}, m.made.row(name, "counter", c.Unit(), c.Description())
}

func (m madeMeter) Int64ObservableUpDownCounter(name string, o ...metric.Int64ObservableUpDownCounterOption) (metric.Int64ObservableUpDownCounter, error) {
	c := metric.NewInt64ObservableUpDownCounterConfig(o...)
	return noop.Int64ObservableUpDownCounter{}, m.made.row(name, "up-down counter", c.Unit(), c.Description())
}

func (m madeMeter) Float64Histogram(name string, o ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	c := metric.NewFloat64HistogramConfig(o...)
	return noop.Float64Histogram{}, m.made.row(name, "histogram", c.Unit(), c.Description())
}

// The tables of README.md and doc.go are the instruments that there are.
func TestTablesHoldTheInstruments(t *testing.T) {
	var m made
	stop, err := holdfastotel.Start(holdfastotel.WithMeterProvider(m.provider()))
	require.NoError(t, err)
	require.NoError(t, stop())
	require.Len(t, m.rows, 16)
	for _, r := range m.rows {
		assert.Regexp(t, `^holdfast(\.[a-z_]+)+ (counter|up-down counter|histogram) (s|By|\{[a-z]+\})$`, r)
	}
	for file, row := range map[string]string{
		"README.md": "(?m)^\\| `(holdfast\\.[a-z.]+)` \\| ([a-z -]+) \\| `([^`]+)` \\|",
		"doc.go":    `(?m)^//\t(holdfast\.[a-z.]+) +([a-z-]+(?: [a-z]+)?) +(\S+)$`,
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var rows []string
		for _, cell := range regexp.MustCompile(row).FindAllStringSubmatch(string(text), -1) {
			rows = append(rows, strings.Join(cell[1:], " "))
		}
		assert.ElementsMatch(t, m.rows, rows, file)
	}
}

// Attributes that are not the conventions' have Holdfast's own namespace, and
// README.md names them all.
func TestAttributesFollowTheConventions(t *testing.T) {
	conventional := []attribute.Key{semconv.ServerAddressKey, semconv.ServerPortKey, semconv.URLSchemeKey, semconv.ErrorTypeKey,
		semconv.NetworkTransportKey, semconv.NetworkProtocolNameKey, semconv.NetworkIODirectionKey, semconv.HTTPResponseStatusCodeKey}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Retry.New = func() holdfast.BackOff { return tick{} } })
		w.server.Script(holdfasttest.Refuse{})
		w.server.DropAll()
		time.Sleep(3 * time.Second)
		require.NoError(t, c.Flush(w.ctx))
		w.metrics()
		keys := map[attribute.Key]bool{}
		for _, s := range w.spans.Ended() {
			for _, kv := range s.Attributes() {
				keys[kv.Key] = true
			}
		}
		for k := range w.keys {
			keys[k] = true
		}
		require.Greater(t, len(keys), 8)
		for k := range keys {
			assert.Contains(t, string(readme), "`"+string(k)+"`")
			if !strings.HasPrefix(string(k), "holdfast.") {
				assert.True(t, slices.Contains(conventional, k), k)
			}
		}
	})
}

func TestWrongOptions(t *testing.T) {
	for field, o := range map[string]holdfastotel.Option{
		"WithMeterProvider":  holdfastotel.WithMeterProvider(nil),
		"WithTracerProvider": holdfastotel.WithTracerProvider(nil),
		"options":            nil,
	} {
		_, err := holdfastotel.Start(o)
		var wrong *holdfast.OptionError
		require.ErrorAs(t, err, &wrong)
		assert.Equal(t, field, wrong.Field)
	}
	_, err := holdfastotel.Start(holdfastotel.WithMeterProvider((&made{fail: true}).provider()))
	require.ErrorContains(t, err, "no holdfast.connection.count")
}

func ExampleStart() {
	stop, err := holdfastotel.Start() // the global providers
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = stop() }()

	_, err = holdfast.Dial(context.Background(), "wss//example.com", nil) // any Conn, made anywhere
	fmt.Println(err != nil)
	// Output: true
}
