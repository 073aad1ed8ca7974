package wslink

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/holdfast-ws/holdfast/transport"
)

// accept refuses: there are no connections to take over.
func accept(w http.ResponseWriter, _ *http.Request, _ *AcceptOptions) (transport.Link, error) {
	http.Error(w, http.StatusText(http.StatusNotImplemented), http.StatusNotImplemented)
	return nil, fmt.Errorf("a WebSocket server on js: %w", errors.ErrUnsupported)
}
