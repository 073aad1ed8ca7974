package transport

// Reachability is what is known of the way to a host.
type Reachability int

const (
	// ReachUnknown means that nothing speaks against dialling.
	ReachUnknown Reachability = iota
	// Reachable means that there is a way to the host; whether anything
	// answers there is another matter.
	Reachable
	// Unreachable means that this host is offline as far as that host is
	// concerned: a dial cannot succeed until the network changes.
	Unreachable
)

var reachNames = [...]string{"unknown", "reachable", "unreachable"}

// String returns "unknown", "reachable" or "unreachable".
func (r Reachability) String() string { return name(reachNames[:], int(r), "Reachability") }
