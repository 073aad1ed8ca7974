package transport

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNames(t *testing.T) {
	for want, got := range map[string]string{
		"text": Text.String(), "binary": Binary.String(), "MessageType(3)": MessageType(3).String(),
		"start": PhaseNone.String(), "onconnect": PhaseOnConnect.String(), "Phase(8)": (PhaseOnConnect + 1).String(),
		"unknown": ClassUnknown.String(), "callback": ClassCallback.String(), "not sticky": ClassNotSticky.String(), "Class(23)": (ClassNotSticky + 1).String(),
		"retry": DecisionRetry.String(), "stop": DecisionStop.String(), "Decision(-1)": Decision(-1).String(),
		"reachable": Reachable.String(), "unreachable": Unreachable.String(), "Reachability(3)": Reachability(3).String(),
	} {
		assert.Equal(t, want, got)
	}
}
