//go:build !unix && !js

package wslink

import "net"

// direct is for systems where a write that does not wait can be asked for.
type direct struct{}

func newDirect(net.Conn) *direct { return nil }

func (*direct) try([]byte) (int, error) { panic("wslink: no direct writes here") }
