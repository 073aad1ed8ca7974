package debugpage

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// count is a number with its thousands apart.
func count[T int | int64 | uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size is a number of bytes.
func size[T int64 | uint64](n T) string {
	f, unit := float64(n), 0
	for ; f >= 999.5 && unit < 4; unit++ {
		f /= 1024
	}
	if unit == 0 {
		return strconv.FormatInt(int64(n), 10) + " B"
	}
	return digits(f) + " " + [...]string{"", "KiB", "MiB", "GiB", "TiB"}[unit]
}

// digits is a number with three digits at most, unless it has more before the
// point.
func digits(f float64) string {
	places := 0
	switch {
	case f < 9.995:
		places = 2
	case f < 99.95:
		places = 1
	}
	s := strconv.FormatFloat(f, 'f', places, 64)
	if places > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// span is a duration in its two largest units.
func span(d time.Duration) string {
	units := []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	if d < 10*time.Second {
		return short(d)
	}
	d = d.Round(time.Second)
	for i, u := range units {
		if d < u.length {
			continue
		}
		s := strconv.FormatInt(int64(d/u.length), 10) + " " + u.name
		if i+1 < len(units) {
			if rest := (d % u.length) / units[i+1].length; rest > 0 {
				s += " " + strconv.FormatInt(int64(rest), 10) + " " + units[i+1].name
			}
		}
		return s
	}
	return "0 s"
}

// age is a duration whose parts of a second nobody wants to know.
func age(d time.Duration) string {
	if d < time.Second {
		return short(d)
	}
	return span(d.Round(time.Second))
}

// short is a duration below a few seconds, such as a round trip.
func short(d time.Duration) string {
	switch f := d.Seconds(); {
	case f >= 0.9995:
		return digits(f) + " s"
	case f >= 0.0009995:
		return digits(f*1e3) + " ms"
	default:
		return strconv.FormatInt(int64(math.Round(max(f, 0)*1e6)), 10) + " µs"
	}
}

// share is a part of a whole.
func share(f float64) string {
	switch {
	case f <= 0:
		return "0 %"
	case f < 0.001:
		return "< 0.1 %"
	case f < 0.0995 || f > 0.9 && f < 0.9995:
		return strconv.FormatFloat(f*100, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(math.Round(f*100), 'f', 0, 64) + " %"
}

// clock is a time of the day, stamp a whole time.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// message is an error's text as it is shown on a page of Holdfast's own.
func message(s string) string { return strings.TrimPrefix(s, "holdfast: ") }
