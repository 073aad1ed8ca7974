//go:build !js

package holdfast

func (o *Options) validatePlatform() error { return nil }

func validateClosePlatform(StatusCode) error { return nil }

// offersSession says whether links are opened for a session.
func offersSession(o *Options) bool { return o.Session != SessionOff }
