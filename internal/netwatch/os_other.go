//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd && !windows && !js

package netwatch

import (
	"errors"
	"net/netip"
)

const (
	hostsPath      = "/etc/hosts"
	resolvConfPath = ""
)

// osSystem is any other system: changes are found by polling, and routes are
// not known. It was compiled and vetted, but not run.
type osSystem struct{ interfaces }

func (osSystem) watch(_, _ func()) (stop func(), err error) { return nil, errors.ErrUnsupported }

func (osSystem) route(netip.Addr) route { return route{} }
