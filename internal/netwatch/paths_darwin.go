package netwatch

// The system's resolver does not read resolv.conf and knows more name servers
// than that.
const (
	hostsPath      = "/etc/hosts"
	resolvConfPath = ""
)
