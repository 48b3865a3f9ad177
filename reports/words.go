package reports

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/wedsync/wedsync/reports/check"
)

// namedAtMost bounds the messages that a reason names; summary.json lists more.
const namedAtMost = 3

func named(misses []check.Pair, lost bool) string {
	var names []string
	n := 0
	for i := range misses {
		p := &misses[i]
		if (p.Received == 0) != lost {
			continue
		}
		if n++; n > namedAtMost {
			continue
		}
		name := fmt.Sprintf("%s to %s in %s", p.Message.ID, p.Vendor.ID, p.Phase)
		if !lost {
			name = fmt.Sprintf("%s to %s in %s after %s", p.Message.ID, p.Vendor.ID, p.Phase, ms(p.Latency()))
		}
		names = append(names, name)
	}
	return list(names, n)
}

func list(names []string, n int) string {
	text := strings.Join(names, "; ")
	if n > len(names) {
		text += fmt.Sprintf("; and %d more", n-len(names))
	}
	return text
}

// measuredLatency is a distribution in a few words.
func measuredLatency(l *check.Latencies, n, lost int) string {
	if n == 0 {
		return "–"
	}
	word := func(p float64) string {
		v, ok := l.At(p)
		if !ok {
			return "never"
		}
		return ms(v)
	}
	text := fmt.Sprintf("max %s, p99 %s, p50 %s", word(100), word(99), word(50))
	if lost > 0 {
		text = fmt.Sprintf("%d lost, %s", lost, text)
	}
	return text
}

// ms writes nanoseconds as milliseconds with one decimal, above ten seconds as seconds. It rounds up, so
// that a figure over a limit is never shown as the limit.
func ms(ns int64) string {
	switch d := time.Duration(ns); {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", math.Ceil(d.Seconds()*10)/10)
	case d <= -10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return fmt.Sprintf("%.1f ms", math.Ceil(float64(ns)/1e5)/10)
	}
}
