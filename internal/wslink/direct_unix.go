//go:build unix

package wslink

import (
	"errors"
	"net"
	"syscall"
)

// direct writes to a TCP connection what the kernel takes at once.
type direct struct {
	raw   syscall.RawConn
	p     []byte
	n     int
	err   error
	write func(fd uintptr) bool
}

// newDirect returns nil where conn is no TCP connection, as above TLS.
func newDirect(conn net.Conn) *direct {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{raw: raw}
	d.write = func(fd uintptr) bool {
		for {
			d.n, d.err = syscall.Write(int(fd), d.p)
			if !errors.Is(d.err, syscall.EINTR) {
				return true
			}
		}
	}
	return d
}

// try returns how much of p was taken.
func (d *direct) try(p []byte) (int, error) {
	d.p, d.n, d.err = p, 0, nil
	err := d.raw.Write(d.write)
	d.p = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(d.err, syscall.EAGAIN):
		return 0, nil
	case d.err != nil:
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: d.err}
	}
	return d.n, nil
}
