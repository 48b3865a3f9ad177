package backbone

import (
	"encoding/binary"
	"time"
)

// rttToken is where a link's own echo comes back to.
const rttToken = "rtt"

// base gives monotonic nanoseconds for the echo.
var base = time.Now()

// measure sends an echo through the peer's log server, on the very connection that urgent events
// use: unlike a ping of the transport, it waits in the same queues as they do.
func (l *link) measure() {
	conn := l.get()
	if conn == nil || !l.up.Load() {
		return
	}
	stamp := binary.BigEndian.AppendUint64(nil, uint64(time.Since(base)))
	// An error means that the link is down; its gauge says so already.
	_ = conn.Publish(l.inbox+"."+rttToken, stamp)
}

func (l *link) measured(stamp []byte) {
	if len(stamp) == 8 {
		sent := time.Duration(binary.BigEndian.Uint64(stamp))
		l.m.rtt.Set((time.Since(base) - sent).Seconds())
	}
}
