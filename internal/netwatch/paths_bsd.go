//go:build dragonfly || freebsd || netbsd || openbsd

package netwatch

const (
	hostsPath      = "/etc/hosts"
	resolvConfPath = "/etc/resolv.conf"
)
