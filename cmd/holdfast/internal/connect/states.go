package connect

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/holdfast-ws/holdfast"
)

// told is the line about an event; "" for none.
func told(e holdfast.Event) string {
	switch e.Kind {
	case holdfast.EventConnecting:
		if e.Attempt == 1 {
			return "connecting to " + e.Endpoint
		}
	case holdfast.EventConnected:
		if e.Resumed {
			return "resumed over " + e.Transport
		}
		return "connected over " + e.Transport
	case holdfast.EventFellBack:
		return "fell back on " + e.Transport + ": " + inner(e.Err)
	case holdfast.EventUpgraded:
		return "back on " + e.Transport
	case holdfast.EventDisconnected:
		return strings.TrimPrefix("lost: "+inner(e.Err), "lost: link ") + fate(e.Count)
	case holdfast.EventAttemptFailed:
		return "failed: " + inner(e.Err)
	case holdfast.EventWaiting:
		return "waiting " + seconds(e.Delay)
	case holdfast.EventOffline:
		if e.Err != nil {
			return "offline: " + inner(e.Err)
		}
		return "offline"
	case holdfast.EventOnline:
		return "online"
	case holdfast.EventGap:
		return "gap: messages from the server may be missing here"
	case holdfast.EventDropped:
		if errors.Is(e.Err, holdfast.ErrDropped) || errors.Is(e.Err, holdfast.ErrStale) || errors.Is(e.Err, holdfast.ErrMessageTooBig) {
			return fmt.Sprintf("dropped %s: %s", messages(e.Count), inner(e.Err))
		}
		return inner(e.Err) + fate(e.Count)
	}
	return ""
}

// fate tells of messages that may be lost.
func fate(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; of %s it is not known whether they arrived", messages(n))
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// seconds is a duration as people say it.
func seconds(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", math.Round(d.Seconds()*10)/10)
}

// inner is an error's text without the name of the library.
func inner(err error) string { return strings.TrimPrefix(fmt.Sprint(err), "holdfast: ") }
