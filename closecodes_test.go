package holdfast

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// The IANA registry "WebSocket Close Code Number Registry", 1004 being reserved.
var registered = map[StatusCode]Decision{
	1000: DecisionStop, 1001: DecisionRetry, 1002: DecisionStop, 1003: DecisionStop, 1004: DecisionRetry,
	1005: DecisionRetry, 1006: DecisionRetry, 1007: DecisionStop, 1008: DecisionStop, 1009: DecisionStop,
	1010: DecisionStop, 1011: DecisionRetry, 1012: DecisionRetry, 1013: DecisionRetrySlowly, 1014: DecisionRetry,
	1015: DecisionRetry, 3000: DecisionReauthorize, 3003: DecisionReauthorize, 3008: DecisionRetry,
}

func TestEveryRegisteredCodeHasARow(t *testing.T) {
	names := map[string]bool{}
	for code, decision := range registered {
		r := code.row()
		require.NotNil(t, r, code)
		assert.Equal(t, code, r.first)
		assert.Equal(t, code, r.last)
		assert.Equal(t, decision, code.Decision(), code)
		assert.NotEmpty(t, r.meaning)
		assert.Equal(t, fmt.Sprintf("%d %s", int(code), r.name), code.String())
		assert.False(t, names[r.name], r.name)
		names[r.name] = true
	}
	for code, name := range map[StatusCode]string{
		StatusNormalClosure: "1000 normal closure", StatusGoingAway: "1001 going away", StatusProtocolError: "1002 protocol error",
		StatusUnsupportedData: "1003 unsupported data", StatusNoStatusReceived: "1005 no status received",
		StatusAbnormalClosure: "1006 abnormal closure", StatusInvalidPayloadData: "1007 invalid payload data",
		StatusPolicyViolation: "1008 policy violation", StatusMessageTooBig: "1009 message too big",
		StatusMandatoryExtension: "1010 mandatory extension", StatusInternalError: "1011 internal error",
		StatusServiceRestart: "1012 service restart", StatusTryAgainLater: "1013 try again later",
		StatusBadGateway: "1014 bad gateway", StatusTLSHandshake: "1015 TLS handshake",
		StatusUnauthorized: "3000 unauthorized", StatusForbidden: "3003 forbidden", StatusTimeout: "3008 timeout",
	} {
		assert.Equal(t, name, code.String())
	}
}

func TestUnregisteredCodesAreRetried(t *testing.T) {
	for code := StatusCode(-1); code <= 5001; code++ {
		if _, ok := registered[code]; ok {
			continue
		}
		assert.Equal(t, DecisionRetry, code.Decision(), code)
		switch {
		case 3000 <= code && code <= 3999:
			assert.Equal(t, strconv.Itoa(int(code))+" registered", code.String())
		case 4000 <= code && code <= 4999:
			assert.Equal(t, strconv.Itoa(int(code))+" private use", code.String())
		default:
			assert.Equal(t, strconv.Itoa(int(code)), code.String())
		}
	}
}

func TestSendableCodes(t *testing.T) {
	for code := StatusCode(-1); code <= 70000; code++ {
		may := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
		if code.sendable() != may {
			t.Errorf("%d", int(code))
		}
		err := validateClose(code, "")
		if may != (err == nil) {
			t.Errorf("%d: %v", int(code), err)
		}
	}
}

func TestCloseErrorOfWhatALinkSays(t *testing.T) {
	own := &CloseError{Code: 4000, Reason: "own"}
	protocol := &transport.ProtocolError{Code: 1002, Err: errors.New("a masked frame")}
	tooBig := fmt.Errorf("%w: 17 bytes", transport.ErrMessageTooBig)
	wrapped := func(err error) error { return fmt.Errorf("read: %w", err) }
	for _, c := range []struct {
		err      error
		want     CloseError // but for Err
		cause    error
		decision Decision
		stable   Decision
	}{
		{wrapped(own), *own, nil, DecisionRetry, DecisionRetry},
		{wrapped(&transport.CloseError{Code: 1000, Reason: "bye"}), CloseError{Code: 1000, Reason: "bye", Remote: true}, nil, DecisionStop, DecisionStop},
		{&transport.CloseError{Code: 1002}, CloseError{Code: 1002, Remote: true}, nil, DecisionStop, DecisionStop},
		{&transport.CloseError{Code: 1005}, CloseError{Code: 1005, Remote: true}, nil, DecisionRetry, DecisionRetry},
		{&transport.CloseError{Code: 1008}, CloseError{Code: 1008, Remote: true}, nil, DecisionStop, DecisionRetrySlowly},
		{&transport.CloseError{Code: 1009}, CloseError{Code: 1009, Remote: true}, nil, DecisionStop, DecisionStop},
		{&transport.CloseError{Code: 1013}, CloseError{Code: 1013, Remote: true}, nil, DecisionRetrySlowly, DecisionRetrySlowly},
		{&transport.CloseError{Code: 3000}, CloseError{Code: 3000, Remote: true}, nil, DecisionReauthorize, DecisionReauthorize},
		{&transport.CloseError{Code: 4321}, CloseError{Code: 4321, Remote: true}, nil, DecisionRetry, DecisionRetry},
		{wrapped(protocol), CloseError{Code: 1002}, protocol, DecisionRetry, DecisionRetry},
		{&transport.ProtocolError{Code: 1007, Err: io.EOF}, CloseError{Code: 1007}, io.EOF, DecisionRetry, DecisionRetry},
		{wrapped(tooBig), CloseError{Code: 1009}, ErrMessageTooBig, DecisionStop, DecisionStop},
		{wrapped(io.ErrUnexpectedEOF), CloseError{Code: 1006}, io.ErrUnexpectedEOF, DecisionRetry, DecisionRetry},
		{ErrNoPong, CloseError{Code: 1006}, ErrNoPong, DecisionRetry, DecisionRetry},
	} {
		got := closeError(c.err)
		assert.Equal(t, c.want, CloseError{Code: got.Code, Reason: got.Reason, Remote: got.Remote}, "%v", c.err)
		if c.cause == nil {
			require.NoError(t, got.Err)
		} else {
			require.ErrorIs(t, got, c.cause)
		}
		assert.Equal(t, c.decision, got.decision(false), "%v", c.err)
		assert.Equal(t, c.stable, got.decision(true), "%v, after a stable link", c.err)
	}
	assert.Contains(t, closeError(tooBig).Error(), "MaxMessageSize", "a hint at what to do")
}

func TestCloseReason(t *testing.T) {
	require.NoError(t, validateClose(1000, strings.Repeat("x", 123)))
	for field, reason := range map[string]string{"too long": strings.Repeat("x", 124), "too long in UTF-8": strings.Repeat("é", 62), "no UTF-8": "\xff"} {
		var oe *OptionError
		require.ErrorAs(t, validateClose(1000, reason), &oe, field)
		assert.Equal(t, "reason", oe.Field)
	}
	require.NoError(t, validateClose(1000, strings.Repeat("é", 61)))
}
