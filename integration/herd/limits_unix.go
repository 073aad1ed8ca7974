//go:build unix

package main

import "syscall"

// spareFiles are for everything that is no client's connection.
const spareFiles = 500

// mostClients is how many this process may have files for. The Go runtime has
// raised the limit as far as it goes.
func mostClients() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return portsOfOneAddress
	}
	return max(0, min(int(limit.Cur)-spareFiles, portsOfOneAddress))
}
