//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package netwatch

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// osSystem is macOS and the BSDs, through route(4). It was compiled and vetted
// for darwin and the BSDs, but not run there.
type osSystem struct{ interfaces }

// watch listens on a routing socket. It needs no privilege.
func (osSystem) watch(changed, lost func()) (stop func(), err error) {
	fd, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "route") // non-blocking, so Close ends a Read
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4<<10) // the rest of a longer message is cut off
		for {
			n, err := file.Read(buf)
			switch {
			case errors.Is(err, unix.ENOBUFS): // the kernel had to drop events
				changed()
			case errors.Is(err, os.ErrClosed):
				return
			case errors.Is(err, unix.EINTR):
			case err != nil:
				lost()
				return
			case tellsChange(buf[:n]):
				changed()
			}
		}
	}()
	return func() {
		file.Close()
		<-done
	}, nil
}

// tellsChange leaves out other programs' questions and failed look-ups. Each
// read gives one message, whose fourth byte is its type.
func tellsChange(b []byte) bool {
	if len(b) < 4 {
		return true
	}
	return b[3] != unix.RTM_GET && b[3] != unix.RTM_MISS && b[3] != unix.RTM_LOSING
}

// route connects a UDP socket. These systems take the routes of a link away
// when it loses its carrier, so the link is not asked.
func (osSystem) route(addr netip.Addr) route {
	return udpRoute(addr, func(err error) bool {
		for _, none := range []error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EADDRNOTAVAIL, unix.EAFNOSUPPORT} {
			if errors.Is(err, none) {
				return true
			}
		}
		return false
	})
}
