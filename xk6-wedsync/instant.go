package xk6wedsync

import (
	"fmt"
	"time"

	"github.com/grafana/sobek"
)

// origin ties the instants of scripts to Go's monotonic clock. JavaScript sees an instant as Unix milliseconds with
// fractions, so that new Date(at) and Date.now() mean what they seem to; a wall clock that steps during the run moves
// only the latter.
var origin = time.Now()

// farOff is how far an instant may lie from now; beyond, it is in another unit or from another clock.
const farOff = time.Hour

func toScript(t time.Time) float64 {
	return float64(origin.UnixNano()/1000)/1000 + float64(t.Sub(origin))/float64(time.Millisecond)
}

// fromScript reads {at}, which may be absent: then the zero time is returned, and it means now.
func fromScript(rt *sobek.Runtime, what string, v sobek.Value) (time.Time, error) {
	o := readOptions(rt, what, v)
	var at time.Time
	if v := o.get("at"); v != nil {
		ms, ok := number(v)
		at = origin.Add(time.Duration((ms - toScript(origin)) * float64(time.Millisecond)))
		if off := time.Until(at).Abs(); !ok || off > farOff {
			return at, fmt.Errorf("%s: at should be what a schedule's next() resolved to (Unix milliseconds), got %s", what, v)
		}
	}
	return at, o.done()
}
