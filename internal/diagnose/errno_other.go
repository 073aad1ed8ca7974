//go:build !windows

package diagnose

import "syscall"

// What the system says of a connection, by meaning.
var (
	errnoRefused     = []syscall.Errno{syscall.ECONNREFUSED}
	errnoUnreachable = []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN}
	errnoForbidden   = []syscall.Errno{syscall.EACCES, syscall.EPERM} // a prohibit route; a firewall or sandbox
	errnoInvalid     = []syscall.Errno{syscall.EINVAL}                // a blackhole route
	errnoNoAddress   = []syscall.Errno{syscall.EADDRNOTAVAIL}
	errnoNoFiles     = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS}
	errnoTimeout     = []syscall.Errno{syscall.ETIMEDOUT}
	errnoBroken      = []syscall.Errno{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE}
)
