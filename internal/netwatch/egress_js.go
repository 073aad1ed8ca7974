package netwatch

// Egress knows nothing in a browser: both are "".
func (*Watcher) Egress(string) (egress, prefix string) { return "", "" }
