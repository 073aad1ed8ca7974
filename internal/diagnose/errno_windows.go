package diagnose

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// What the system says of a connection, by meaning. On Windows the E… values
// of package syscall are inventions that no system call returns; Winsock's own
// and, from overlapped calls, the kernel's are. Vetted by cross-compilation,
// not run.
var (
	errnoRefused     = []syscall.Errno{windows.WSAECONNREFUSED, windows.ERROR_CONNECTION_REFUSED, windows.ERROR_PORT_UNREACHABLE}
	errnoUnreachable = []syscall.Errno{
		windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH, windows.WSAENETDOWN, windows.WSAEHOSTDOWN,
		windows.ERROR_NETWORK_UNREACHABLE, windows.ERROR_HOST_UNREACHABLE,
	}
	errnoForbidden = []syscall.Errno{windows.WSAEACCES, windows.ERROR_ACCESS_DISABLED_BY_POLICY}
	errnoInvalid   = []syscall.Errno{windows.WSAEINVAL}
	errnoNoAddress = []syscall.Errno{windows.WSAEADDRNOTAVAIL}
	errnoNoFiles   = []syscall.Errno{windows.WSAEMFILE, windows.WSAENOBUFS, windows.ERROR_TOO_MANY_OPEN_FILES}
	errnoTimeout   = []syscall.Errno{windows.WSAETIMEDOUT, windows.ERROR_SEM_TIMEOUT}
	errnoBroken    = []syscall.Errno{
		windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.WSAENETRESET, windows.WSAESHUTDOWN, windows.WSAEDISCON,
		windows.ERROR_NETNAME_DELETED, windows.ERROR_CONNECTION_ABORTED, windows.ERROR_BROKEN_PIPE,
	}
)
