package holdfastotel

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	tracesdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/holdfast-ws/holdfast"
	"github.com/holdfast-ws/holdfast/internal/registry"
)

// Spans have the times of the events, however late those come; and who vanishes
// in the middle of an attempt leaves none open.
func TestSpansOfLateEventsAndVanishedMembers(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	w := &watcher{tracer: tracesdk.NewTracerProvider(tracesdk.WithSpanProcessor(spans)).Tracer(scope),
		tracked: map[*registry.Member]*tracked{}, series: map[target]*series{}, counts: map[place]int64{}}
	_, err := w.register(noop.NewMeterProvider().Meter(scope))
	require.NoError(t, err)
	m, at := &registry.Member{}, time.Unix(1e9, 0)
	w.Event(m, holdfast.Event{Kind: holdfast.EventConnecting, Time: at, Attempt: 1})
	w.Event(m, holdfast.Event{Kind: holdfast.EventConnected, Time: at.Add(time.Second), Attempt: 1})
	require.Len(t, spans.Ended(), 1)
	assert.True(t, spans.Ended()[0].StartTime().Equal(at))
	assert.True(t, spans.Ended()[0].EndTime().Equal(at.Add(time.Second)))

	w.Event(m, holdfast.Event{Kind: holdfast.EventConnecting, Time: at.Add(time.Minute), Attempt: 1})
	w.Removed(m)
	require.Len(t, spans.Ended(), 2)
	assert.Equal(t, canceled, spans.Ended()[1].Status().Description)
	assert.Empty(t, w.tracked)
}
