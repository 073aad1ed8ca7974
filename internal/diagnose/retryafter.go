package diagnose

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter bounds what a Retry-After can ask for.
const MaxRetryAfter = 5 * time.Minute

// RetryAfter reads the value of a Retry-After header: seconds, or an HTTP date
// (RFC 9110, section 10.2.3), which counts from now. The result is between 0
// and MaxRetryAfter; a value that is neither, or lies in the past, is 0.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.Trim(value, " \t")
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil || seconds > uint64(MaxRetryAfter/time.Second) { // the error can only be one of range
			return MaxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter) // Sub does not overflow, it saturates
}
