//go:build !js

package holdfast

func (o *Options) validatePlatform() error { return nil }

func validateClosePlatform(StatusCode) error { return nil }
