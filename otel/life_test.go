package holdfastotel_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	metricsdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracesdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/fallback"
	"github.com/holdfast-ws/holdfast/holdfasttest"
	holdfastotel "github.com/holdfast-ws/holdfast/otel"
	"github.com/holdfast-ws/holdfast/server"
)

// secret is in all that must not be shown.
const secret = "hunter2"

// private is in no metric; the text of a failure has it, as an endpoint's path.
const private = "of-customer-7"

// world is a bubble with a server in it, and somebody who measures.
type world struct {
	*testing.T
	ctx    context.Context
	net    *holdfasttest.Memory
	server *holdfasttest.Server
	reader *metricsdk.ManualReader
	spans  *tracetest.SpanRecorder
	stop   func() error
	keys   map[attribute.Key]bool // that metrics have had
}

func bubble(t *testing.T, f func(*world)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		w := &world{T: t, ctx: ctx, net: holdfasttest.NewMemory(), spans: tracetest.NewSpanRecorder(), keys: map[attribute.Key]bool{}}
		w.server = w.net.NewServer("")
		defer w.server.Close()
		w.stop = w.start()
		f(w)
		require.NoError(t, w.stop())
	})
}

func (w *world) start() func() error {
	w.reader = metricsdk.NewManualReader()
	stop, err := holdfastotel.Start(
		holdfastotel.WithMeterProvider(metricsdk.NewMeterProvider(metricsdk.WithReader(w.reader))),
		holdfastotel.WithTracerProvider(tracesdk.NewTracerProvider(tracesdk.WithSpanProcessor(w.spans))))
	require.NoError(w, err)
	return stop
}

func (w *world) url() string {
	return strings.Replace(w.server.URL(), "ws://", "ws://"+secret+":"+secret+"@", 1) + private + "?token=" + secret
}

func (w *world) dial(change func(*holdfast.Options)) *holdfast.Conn {
	o := w.net.Options()
	o.AllowInsecureCredentials = true
	if change != nil {
		change(&o)
	}
	c, err := holdfast.Dial(w.ctx, w.url(), &o)
	require.NoError(w, err)
	w.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// metrics are all points as text: name{attributes} and a number; of a histogram,
// count and sum.
func (w *world) metrics() map[string]string {
	synctest.Wait()
	all := w.collect()
	points := map[string]string{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					points[m.Name+w.labels(p.Attributes)] = fmt.Sprint(p.Value)
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					points[m.Name+w.labels(p.Attributes)] = fmt.Sprintf("%d in %.4g", p.Count, p.Sum)
				}
			default:
				w.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	return points
}

func (w *world) collect() (all metricdata.ResourceMetrics) {
	assert.NoError(w, w.reader.Collect(context.Background(), &all))
	return all
}

// labels are those that a point has beside the common ones.
func (w *world) labels(set attribute.Set) string {
	var all []string
	for _, kv := range set.ToSlice() {
		w.keys[kv.Key] = true
		switch kv.Key {
		case "server.address", "server.port", "url.scheme":
		default:
			all = append(all, string(kv.Key)+"="+kv.Value.String())
		}
	}
	text := "{" + strings.Join(all, ",") + "}"
	for _, marker := range []string{secret, private, "token"} {
		assert.NotContains(w, set.Encoded(attribute.DefaultEncoder()), marker)
	}
	return text
}

// has compares some points; "" is one that is not there.
func (w *world) has(want map[string]string) {
	w.Helper()
	got := w.metrics()
	for name, value := range want {
		if !assert.Equal(w, value, got[name], name) {
			w.Log(strings.Join(slices.Sorted(maps.Keys(got)), "\n"))
		}
	}
}

// tick waits 1 s every time.
type tick struct{}

func (tick) NextBackOff() time.Duration { return time.Second }
func (tick) Reset()                     {}

func TestLifeOfAConn(t *testing.T) {
	bubble(t, func(w *world) {
		w.net.SetLatency(10 * time.Millisecond)
		c := w.dial(func(o *holdfast.Options) {
			o.Retry.New = func() holdfast.BackOff { return tick{} }
			o.SendBuffer = holdfast.SendBuffer{MaxMessages: 2, WhenFull: holdfast.WhenFullDropOldest}
		})
		require.NoError(t, c.Send(w.ctx, holdfast.Text, []byte("12345")))
		require.NoError(t, c.Flush(w.ctx))
		w.has(map[string]string{
			"holdfast.connection.count{holdfast.role=client,holdfast.state=connected,holdfast.transport=websocket}": "1",
			"holdfast.dial.attempts{holdfast.role=client}":                                                          "1",
			"holdfast.dial.duration{holdfast.role=client}":                                                          "1 in 0.04",
			"holdfast.connection.rtt{holdfast.role=client}":                                                         "1 in 0.02",
			"holdfast.messages{holdfast.role=client,network.io.direction=transmit}":                                 "1",
			"holdfast.messages{holdfast.role=client,network.io.direction=receive}":                                  "1",
			"holdfast.io{holdfast.role=client,network.io.direction=transmit}":                                       "5",
			"holdfast.io{holdfast.role=client,network.io.direction=receive}":                                        "5",
			"holdfast.queue.messages{holdfast.role=client,network.io.direction=receive}":                            "1",
			"holdfast.queue.size{holdfast.role=client,network.io.direction=receive}":                                "5",
			"holdfast.queue.messages{holdfast.role=client,network.io.direction=transmit}":                           "0",
			"holdfast.message.unacknowledged{holdfast.role=client}":                                                 "0",
			"holdfast.message.gaps{holdfast.role=client}":                                                           "",
		})

		w.server.FreezeAll(true) // written, and never received
		require.NoError(t, c.Send(w.ctx, holdfast.Text, []byte("123")))
		w.has(map[string]string{"holdfast.message.unacknowledged{holdfast.role=client}": "1"})
		w.server.Script(holdfasttest.Refuse{Status: http.StatusServiceUnavailable, Body: secret})
		w.server.ResetAll()
		time.Sleep(100 * time.Millisecond)
		w.has(map[string]string{
			"holdfast.connection.count{holdfast.role=client,holdfast.state=connected,holdfast.transport=websocket}": "0",
			"holdfast.connection.count{holdfast.role=client,holdfast.state=waiting,holdfast.transport=none}":        "1",
			"holdfast.message.unknown{holdfast.role=client}":                                                        "1",
			"holdfast.message.unacknowledged{holdfast.role=client}":                                                 "0",
		})
		time.Sleep(3 * time.Second)
		w.has(map[string]string{
			"holdfast.connection.reconnects{error.type=1006,holdfast.role=client}":                                  "1",
			"holdfast.dial.attempts{holdfast.role=client}":                                                          "3",
			"holdfast.dial.failures{error.type=overloaded,holdfast.dial.phase=handshake,holdfast.role=client}":      "1",
			"holdfast.dial.duration{error.type=overloaded,holdfast.role=client}":                                    "1 in 0.04",
			"holdfast.dial.duration{holdfast.role=client}":                                                          "2 in 0.08",
			"holdfast.message.gaps{holdfast.role=client}":                                                           "1",
			"holdfast.connection.count{holdfast.role=client,holdfast.state=connected,holdfast.transport=websocket}": "1",
		})

		w.net.SetOnline(false)
		w.net.Reset()
		time.Sleep(100 * time.Millisecond)
		for range 3 {
			require.NoError(t, c.Send(w.ctx, holdfast.Text, []byte(secret)))
		}
		w.has(map[string]string{
			"holdfast.connection.count{holdfast.role=client,holdfast.state=offline,holdfast.transport=none}": "1",
			"holdfast.message.drops{holdfast.role=client}":                                                   "1",
			"holdfast.queue.messages{holdfast.role=client,network.io.direction=transmit}":                    "2",
			"holdfast.queue.size{holdfast.role=client,network.io.direction=transmit}":                        "14",
		})
		w.net.SetOnline(true)
		time.Sleep(5 * time.Second)
		require.NoError(t, c.Close())
		<-c.Done()
		for range 2 { // what has ended is counted on
			w.has(map[string]string{
				"holdfast.connection.count{holdfast.role=client,holdfast.state=connected,holdfast.transport=websocket}": "0",
				"holdfast.connection.count{holdfast.role=client,holdfast.state=offline,holdfast.transport=none}":        "0",
				"holdfast.message.gaps{holdfast.role=client}":                                                           "2",
				"holdfast.message.drops{holdfast.role=client}":                                                          "1",
				"holdfast.messages{holdfast.role=client,network.io.direction=transmit}":                                 "4",
				"holdfast.queue.messages{holdfast.role=client,network.io.direction=transmit}":                           "0",
			})
		}
		w.checkSpans()
	})
}

func TestFallbackUpgradeAndSession(t *testing.T) {
	bubble(t, func(w *world) {
		srv := server.New(func(ctx context.Context, s *server.Session) error {
			for {
				m, err := s.Receive(ctx)
				if err != nil {
					return err
				}
				if err := s.Send(ctx, m.Type, m.Data); err != nil {
					return err
				}
			}
		}, &server.Options{Authenticate: func(*http.Request) (string, error) { return secret, nil }})
		w.server.Handle(srv)
		w.server.Script(holdfasttest.Always(holdfasttest.BlockForbidden))
		c := w.dial(func(o *holdfast.Options) { o.Fallback = []holdfast.Transport{fallback.LongPoll(nil)} })
		require.NoError(t, c.Send(w.ctx, holdfast.Text, []byte("12345")))
		require.NoError(t, c.Flush(w.ctx))
		w.has(map[string]string{
			"holdfast.transport.fallbacks{error.type=blocked,holdfast.role=client}":                                "1",
			"holdfast.connection.count{holdfast.role=client,holdfast.state=connected,holdfast.transport=longpoll}": "1",
			"holdfast.connection.count{holdfast.role=server,holdfast.state=connected,holdfast.transport=longpoll}": "1",
			"holdfast.messages{holdfast.role=server,network.io.direction=receive}":                                 "1",
			"holdfast.io{holdfast.role=server,network.io.direction=transmit}":                                      "5",
		})
		w.server.Script()
		time.Sleep(20 * time.Minute)
		w.has(map[string]string{
			"holdfast.transport.upgrades{holdfast.role=client}":                                                     "1",
			"holdfast.transport.upgrades{holdfast.role=server}":                                                     "1",
			"holdfast.connection.count{holdfast.role=server,holdfast.state=connected,holdfast.transport=websocket}": "1",
			"holdfast.dial.attempts{holdfast.role=client}":                                                          "1",
		})
		w.server.DropAll()
		time.Sleep(3 * time.Second)
		w.has(map[string]string{
			"holdfast.connection.reconnects{error.type=1006,holdfast.role=client}": "1",
			"holdfast.connection.reconnects{error.type=1006,holdfast.role=server}": "1",
			"holdfast.message.gaps{holdfast.role=client}":                          "",
		})
		require.NoError(t, c.Close())
		require.NoError(t, srv.Shutdown(w.ctx))
	})
}
