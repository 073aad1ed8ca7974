package diagnose

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfter(t *testing.T) {
	in := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"1":                             time.Second,
		"\t120 ":                        2 * time.Minute,
		"007":                           7 * time.Second,
		"300":                           MaxRetryAfter,
		"301":                           MaxRetryAfter,
		"9223372036":                    MaxRetryAfter,
		"18446744073709551616":          MaxRetryAfter,
		strings.Repeat("9", 1000):       MaxRetryAfter,
		strings.Repeat("0", 1000) + "5": 5 * time.Second,
		"-1":                            0,
		"+1":                            0,
		"1.5":                           0,
		"1s":                            0,
		"0x10":                          0,
		"１":                             0, // a digit, but not one of ASCII
		"soon":                          0,
		in(time.Minute):                 time.Minute,
		in(time.Hour):                   MaxRetryAfter,
		in(-time.Minute):                0,
		now.Add(9 * time.Second).Format(time.ANSIC):                       9 * time.Second,
		now.Add(9 * time.Second).Format("Monday, 02-Jan-06 15:04:05 GMT"): 9 * time.Second,
		"Fri, 31 Dec 9999 23:59:59 GMT":                                   MaxRetryAfter,
		"Mon, 01 Jan 0001 00:00:00 GMT":                                   0,
		"Mon, 32 Jan 2026 00:00:00 GMT":                                   0,
	} {
		assert.Equal(t, want, RetryAfter(value, now), "%q", value)
	}
}

// A host whose clock is wrong still waits as long as the server meant.
func TestRetryAfterCountsFromTheServersClock(t *testing.T) {
	server := now.AddDate(26, 0, 0)
	err := says(503, "Date", server.Format(http.TimeFormat), "Retry-After", server.Add(20*time.Second).Format(http.TimeFormat))
	assert.Equal(t, 20*time.Second, Explain(Facts{Err: err, Target: wss, Now: now}).RetryAfter)

	err = says(503, "Date", "whenever", "Retry-After", now.Add(20*time.Second).Format(http.TimeFormat))
	assert.Equal(t, 20*time.Second, Explain(Facts{Err: err, Target: wss, Now: now}).RetryAfter)
}
