module github.com/holdfast-ws/holdfast/docs

go 1.25.0

replace github.com/holdfast-ws/holdfast => ../

require (
	github.com/cenkalti/backoff/v4 v4.3.0
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
	github.com/holdfast-ws/holdfast v0.0.0-00010101000000-000000000000
	github.com/recws-org/recws v1.4.0
	github.com/stretchr/testify v1.12.1
	go.yaml.in/yaml/v3 v3.0.5
)

require (
	github.com/jpillora/backoff v1.0.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)
