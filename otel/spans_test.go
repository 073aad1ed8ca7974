package holdfastotel_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/holdfasttest"
)

// checkSpans looks at the spans of TestLifeOfAConn: connected, refused,
// connected, connected.
func (w *world) checkSpans() {
	spans := w.spans.Ended()
	require.Len(w, spans, 4)
	assert.Len(w, w.spans.Started(), 4)
	for i, s := range spans {
		assert.Equal(w, "holdfast dial", s.Name())
		assert.Equal(w, trace.SpanKindClient, s.SpanKind())
		assert.False(w, s.Parent().IsValid())
		assert.Equal(w, 40*time.Millisecond, s.EndTime().Sub(s.StartTime()))
		set := attribute.NewSet(s.Attributes()...)
		for _, want := range []attribute.KeyValue{semconv.URLScheme("ws"), semconv.ServerPort(80), semconv.NetworkTransportTCP,
			semconv.NetworkProtocolName("websocket"), attribute.Int("holdfast.dial.attempt", []int{1, 1, 2, 1}[i])} {
			got, ok := set.Value(want.Key)
			assert.True(w, ok, want.Key)
			assert.Equal(w, want.Value.String(), got.String(), "%s of span %d", want.Key, i)
		}
		address, _ := set.Value(semconv.ServerAddressKey)
		assert.NotEmpty(w, address.AsString())
		assert.NotContains(w, fmt.Sprint(s.Attributes(), s.Events(), s.Status()), secret)
		assert.NotContains(w, fmt.Sprint(s.Name(), s.Attributes(), s.Status()), private)
		if i == 0 {
			assert.Empty(w, s.Links())
		} else if assert.Len(w, s.Links(), 1) {
			assert.Equal(w, spans[i-1].SpanContext(), s.Links()[0].SpanContext)
		}
		if i != 1 {
			assert.Equal(w, codes.Ok, s.Status().Code)
			assert.Empty(w, s.Events())
			continue
		}
		assert.Equal(w, codes.Error, s.Status().Code)
		assert.Equal(w, "overloaded", s.Status().Description)
		status, _ := set.Value(semconv.HTTPResponseStatusCodeKey)
		assert.EqualValues(w, 503, status.AsInt64())
		require.Len(w, s.Events(), 1)
		e := s.Events()[0]
		assert.Equal(w, "exception", e.Name)
		assert.Equal(w, s.EndTime(), e.Time)
		assert.Contains(w, e.Attributes, attribute.String("error.type", "overloaded"))
		assert.Contains(w, e.Attributes, attribute.String("holdfast.dial.phase", "handshake"))
	}
}

// An attempt that is given up, by a close or by stop, ends its span.
func TestAbandonedAttempts(t *testing.T) {
	for _, how := range []string{"close", "stop"} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(w *world) {
				c := w.dial(func(o *holdfast.Options) { o.Retry.New = func() holdfast.BackOff { return tick{} } })
				w.server.Script(holdfasttest.Hang{})
				w.server.DropAll()
				time.Sleep(2 * time.Second)
				require.Len(t, w.spans.Started(), 2)
				require.Len(t, w.spans.Ended(), 1)
				if how == "close" {
					require.NoError(t, c.CloseNow())
					<-c.Done()
				} else {
					require.NoError(t, w.stop())
				}
				ended := w.spans.Ended()
				require.Len(t, ended, 2)
				assert.Equal(t, codes.Error, ended[1].Status().Code)
				assert.Contains(t, ended[1].Attributes(), attribute.String("error.type", "canceled"))
			})
		})
	}
}

func TestStopStopsEverything(t *testing.T) {
	bubble(t, func(w *world) {
		c := w.dial(func(o *holdfast.Options) { o.Retry.New = func() holdfast.BackOff { return tick{} } })
		w.has(map[string]string{"holdfast.dial.attempts{holdfast.role=client}": "1"})
		require.NoError(t, w.stop())
		require.NoError(t, w.stop(), "again")
		w.server.DropAll()
		time.Sleep(3 * time.Second)
		require.NoError(t, c.Flush(w.ctx))
		w.has(map[string]string{
			"holdfast.dial.attempts{holdfast.role=client}":                                                          "1",
			"holdfast.connection.count{holdfast.role=client,holdfast.state=connected,holdfast.transport=websocket}": "",
		})
		assert.Len(t, w.spans.Started(), 1)
	})
}

func TestThoseThatThereAreCount(t *testing.T) {
	bubble(t, func(w *world) {
		require.NoError(t, w.stop())
		c := w.dial(func(o *holdfast.Options) { o.Retry.New = func() holdfast.BackOff { return tick{} } })
		require.NoError(t, c.Send(w.ctx, holdfast.Text, []byte("12345")))
		require.NoError(t, c.Flush(w.ctx))
		w.stop = w.start()
		w.server.DropAll()
		time.Sleep(3 * time.Second)
		w.has(map[string]string{
			"holdfast.messages{holdfast.role=client,network.io.direction=transmit}": "1",
			"holdfast.connection.reconnects{error.type=1006,holdfast.role=client}":  "1",
		})
	})
}
