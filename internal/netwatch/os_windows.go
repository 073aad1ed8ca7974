package netwatch

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Windows keeps its name servers in the registry, one list an interface.
const resolvConfPath = ""

var hostsPath = filepath.Join(os.Getenv("SystemRoot"), `System32\drivers\etc\hosts`)

// osSystem is Windows, through the IP helper. It was compiled and vetted, but
// not run there.
type osSystem struct{ interfaces }

// watchers are the functions that the one callback calls, by the context that
// was registered with it. Windows callbacks are never freed, so there is one for
// the life of the process.
var watchers struct {
	sync.Mutex
	fns map[uintptr]func()
}

var onChange = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(context, _, _ uintptr) uintptr {
		watchers.Lock()
		f := watchers.fns[context]
		watchers.Unlock()
		if f != nil {
			f()
		}
		return 0
	})
})

// watch registers for changes of interfaces, addresses and routes.
func (osSystem) watch(changed, _ func()) (stop func(), err error) {
	key := new(int) // its address is the context; stop keeps it alive
	context := unsafe.Pointer(key)
	watchers.Lock()
	if watchers.fns == nil {
		watchers.fns = make(map[uintptr]func())
	}
	watchers.fns[uintptr(context)] = changed
	watchers.Unlock()

	var handles []windows.Handle
	stop = func() {
		// CancelMibChangeNotify2 waits for a callback under way, so it
		// must not be called under the lock.
		for _, h := range handles {
			_ = windows.CancelMibChangeNotify2(h)
		}
		watchers.Lock()
		delete(watchers.fns, uintptr(context))
		watchers.Unlock()
	}
	var interfaceHandle, addressHandle, routeHandle windows.Handle
	err = windows.NotifyIpInterfaceChange(windows.AF_UNSPEC, onChange(), context, false, &interfaceHandle)
	if err == nil {
		handles = append(handles, interfaceHandle)
		err = windows.NotifyUnicastIpAddressChange(windows.AF_UNSPEC, onChange(), context, false, &addressHandle)
	}
	if err == nil {
		handles = append(handles, addressHandle)
		err = windows.NotifyRouteChange2(windows.AF_UNSPEC, onChange(), context, false, &routeHandle)
	}
	if err != nil {
		stop()
		return nil, err
	}
	handles = append(handles, routeHandle)
	return stop, nil
}

// route connects a UDP socket. Windows takes the routes of a link away when it
// loses its carrier, so the link is not asked.
func (osSystem) route(addr netip.Addr) route {
	return udpRoute(addr, func(err error) bool {
		for _, none := range []error{windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH, windows.WSAEADDRNOTAVAIL, windows.WSAEAFNOSUPPORT} {
			if errors.Is(err, none) {
				return true
			}
		}
		return false
	})
}
