package docs

// What blocks of the pages import. They are compiled in a module that requires
// what this one does.
import (
	_ "github.com/cenkalti/backoff/v4"
	_ "github.com/coder/websocket"
	_ "github.com/gorilla/websocket"
	_ "github.com/recws-org/recws"

	_ "github.com/holdfast-ws/holdfast"
	_ "github.com/holdfast-ws/holdfast/fallback"
	_ "github.com/holdfast-ws/holdfast/holdfasttest"
	_ "github.com/holdfast-ws/holdfast/server"
)
