package holdfast

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-ws/holdfast/transport"
)

// everyError is each error type around cause.
func everyError(cause error) map[string]error {
	return map[string]error{
		"DialError":   &DialError{URL: "ws://a", Err: cause},
		"CloseError":  &CloseError{Code: 1006, Err: cause},
		"SendError":   &SendError{Count: 1, Err: cause},
		"UnsentError": &UnsentError{Messages: 1, Err: cause},
		"OptionError": &OptionError{Field: "f", Err: cause},
		"exhausted":   &exhaustedError{3, cause},
		"wait":        &waitError{context.Canceled, cause},
	}
}

func TestErrorsUnwrapToTheirCause(t *testing.T) {
	cause := &net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}
	for name, err := range everyError(cause) {
		t.Run(name, func(t *testing.T) {
			wrapped := fmt.Errorf("wrapped: %w", err)
			require.ErrorIs(t, wrapped, io.ErrUnexpectedEOF)
			var op *net.OpError
			require.ErrorAs(t, wrapped, &op)
			assert.Same(t, cause, op)
			assert.NotErrorIs(t, wrapped, ErrClosed)
			assert.NotErrorIs(t, wrapped, net.ErrClosed)
			assert.Contains(t, err.Error(), "holdfast: ")
			assert.Contains(t, err.Error(), cause.Error())

			outer := everyError(err)
			for _, o := range outer {
				require.ErrorIs(t, o, io.ErrUnexpectedEOF, "through two of them")
				require.ErrorIs(t, o, err)
			}
		})
	}
}

func TestErrorsAsFindsEachType(t *testing.T) {
	for _, err := range everyError(errors.Join(
		&DialError{Attempt: 7}, &CloseError{Code: 4007}, &SendError{Count: 7}, &UnsentError{Messages: 7}, &OptionError{Field: "seven", Err: io.EOF},
		&transport.ProtocolError{Code: 1007},
	)) {
		err = fmt.Errorf("wrapped: %w", err)
		var (
			de *DialError
			ce *CloseError
			se *SendError
			ue *UnsentError
			oe *OptionError
			pe *transport.ProtocolError
		)
		require.ErrorAs(t, err, &de)
		require.ErrorAs(t, err, &ce)
		require.ErrorAs(t, err, &se)
		require.ErrorAs(t, err, &ue)
		require.ErrorAs(t, err, &oe)
		require.ErrorAs(t, err, &pe)
	}
}

func TestErrClosed(t *testing.T) {
	require.ErrorIs(t, ErrClosed, net.ErrClosed)
	assert.NotErrorIs(t, net.ErrClosed, ErrClosed, "not every closed connection is a closed Conn")
	for name, err := range everyError(ErrClosed) {
		require.ErrorIs(t, err, ErrClosed, name)
		require.ErrorIs(t, err, net.ErrClosed, name)
		assert.NotErrorIs(t, err, io.EOF, name)
	}
}

func TestSentinelsDiffer(t *testing.T) {
	sentinels := []error{ErrClosed, ErrRetriesExhausted, ErrBufferFull, ErrMessageTooBig, ErrNoPong, ErrReceiveBufferFull, ErrInsecureCredentials}
	for i, a := range sentinels {
		for j, b := range sentinels {
			assert.Equal(t, i == j, errors.Is(a, b), "%v, %v", a, b)
		}
		for name, err := range everyError(a) {
			require.ErrorIs(t, err, a, name)
		}
	}
}

func TestExhausted(t *testing.T) {
	last := &DialError{URL: "ws://a", Class: ClassServerDown, Attempt: 4, Err: io.EOF}
	err := fmt.Errorf("wrapped: %w", &exhaustedError{4, last})
	require.ErrorIs(t, err, ErrRetriesExhausted)
	require.ErrorIs(t, err, io.EOF)
	var de *DialError
	require.ErrorAs(t, err, &de)
	assert.Same(t, last, de)
	assert.Equal(t, "wrapped: holdfast: retries exhausted after 4 failures in a row, the last: dial ws://a: server down: EOF", err.Error())
}

func TestWaitErrorHasBothCauses(t *testing.T) {
	err := error(&waitError{context.DeadlineExceeded, &CloseError{Code: 1012, Remote: true}})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var ce *CloseError
	require.ErrorAs(t, err, &ce)
	assert.Equal(t, "holdfast: not connected yet: context deadline exceeded, the last failure: closed by the peer: 1012 service restart", err.Error())

	err = &waitError{context.Canceled, nil}
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, io.EOF)
	assert.Equal(t, "holdfast: not connected yet: context canceled", err.Error())
}

func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]error{
		"holdfast: dial ws://a: timeout":                                                          &DialError{URL: "ws://a", Class: ClassTimeout},
		"holdfast: dial ws://a: unknown: EOF (look there)":                                        &DialError{URL: "ws://a", Err: io.EOF, Hint: "look there"},
		`holdfast: closed by the peer: 1001 going away`:                                           &CloseError{Code: 1001, Remote: true},
		`holdfast: link lost: 1006 abnormal closure: EOF`:                                         &CloseError{Code: 1006, Err: io.EOF},
		`holdfast: closed by the peer: 4007 private use "why"`:                                    &CloseError{Code: 4007, Reason: "why", Remote: true},
		"holdfast: message not sent: send buffer full":                                            &SendError{Outcome: NotSent, Count: 1, Err: ErrBufferFull},
		"holdfast: 3 messages maybe sent: no pong from the peer":                                  &SendError{Count: 3, Err: ErrNoPong},
		"holdfast: message maybe sent: link lost: 1006 abnormal closure":                          &SendError{Count: 1, Err: &CloseError{Code: 1006}},
		"holdfast: closed with 2 messages (7 bytes) not sent and 1 maybe sent: connection closed": &UnsentError{Messages: 2, Bytes: 7, MaybeSent: 1, Err: ErrClosed},
		"holdfast: Retry.MaxRetries: is odd":                                                      &OptionError{Field: "Retry.MaxRetries", Err: errors.New("is odd")},
		"holdfast: retries exhausted at the first failure: link lost: 1002 protocol error":        &exhaustedError{1, &CloseError{Code: 1002}},
	} {
		assert.Equal(t, want, err.Error())
	}
}

func TestZeroOutcomeIsTheCautiousOne(t *testing.T) {
	var e SendError
	assert.Equal(t, MaybeSent, e.Outcome)
}
