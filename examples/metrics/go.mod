module github.com/holdfast-ws/holdfast/examples/metrics

go 1.25.0

replace (
	github.com/holdfast-ws/holdfast => ../../
	github.com/holdfast-ws/holdfast/otel => ../../otel
)
