package netwatch

import (
	"net/netip"
	"sync"
	"syscall/js"
)

const (
	hostsPath      = ""
	resolvConfPath = ""
)

// osSystem is the browser: navigator.onLine and the window's (or worker's)
// events online and offline (HTML Standard, "Browser state"). Where
// they are missing, as in Node.js, nothing is known. It was run in Node.js
// alone, with the browser's objects faked.
type osSystem struct{ interfaces }

// watch listens to the events.
func (osSystem) watch(changed, _ func()) (stop func(), err error) {
	target := js.Global()
	if target.Get("addEventListener").Type() != js.TypeFunction {
		return func() {}, nil
	}
	var mu sync.Mutex
	stopped := false
	listener := js.FuncOf(func(js.Value, []js.Value) any {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			changed()
		}
		return nil
	})
	for _, event := range []string{"online", "offline"} {
		target.Call("addEventListener", event, listener)
	}
	return func() {
		for _, event := range []string{"online", "offline"} {
			target.Call("removeEventListener", event, listener)
		}
		mu.Lock()
		stopped = true
		mu.Unlock()
		listener.Release()
	}, nil
}

// route knows of no targets: it is none for all of them while the browser is offline.
func (s osSystem) route(netip.Addr) route {
	if !s.connected() {
		return route{kind: routeNone}
	}
	return route{}
}

func (osSystem) connected() bool {
	navigator := js.Global().Get("navigator")
	if navigator.Type() != js.TypeObject {
		return true
	}
	onLine := navigator.Get("onLine")
	return onLine.Type() != js.TypeBoolean || onLine.Bool()
}
