//go:build !js

package wslink

import (
	"net/http"

	"github.com/holdfast-ws/holdfast/internal/credential"
	"github.com/holdfast-ws/holdfast/transport"
)

// authorize runs Request.Authorize on req, unless a redirect has led to
// another origin.
func (a *attempt) authorize(req *http.Request) error {
	if a.r.Authorize == nil || a.foreign {
		return nil
	}
	a.phase = transport.PhaseAuthorize
	return credential.Authorize(a.ctx, a.r, req)
}
