package backbone

import (
	"fmt"
	"strings"

	"github.com/wedsync/wedsync/protocol"
)

// Subjects. The node whose log is meant stands first, the lane second (a stream, an account and a
// connection per lane), then what is owned from broad to narrow. A subject holds one event for the
// whole life of the log: that is what makes dedup by id exact.
//
//	evt.<node>.<u|n>.<room>.<id>   stored, and live to those subscribed
//	eph                            live only: casts
//	ann                            live only: announcements (receipts)
//	gsp.<topic>                    live only: what nodes tell each other about themselves (presence)
//	pos                            request: how far does this node know the log of the asking one
const (
	castSubject     = "eph"
	announceSubject = "ann"
	positionSubject = "pos"
)

// gossipSubject is where the messages of a topic go.
func gossipSubject(topic string) string {
	var b strings.Builder
	b.WriteString("gsp.")
	writeToken(&b, topic)
	return b.String()
}

// eventPrefix covers every event of a lane in the log of a node; with ">" after it, it is a filter.
func eventPrefix(node string, lane protocol.Lane) string {
	return "evt." + node + "." + laneNames[lane].token + "."
}

// eventSubject is where the log of a node stores the event.
func eventSubject(node string, ev *Event) string {
	var b strings.Builder
	b.Grow(len("evt...n..") + len(node) + 2*len(ev.Room) + len(ev.ID))
	b.WriteString(eventPrefix(node, ev.Lane))
	writeToken(&b, ev.Room)
	b.WriteByte('.')
	writeToken(&b, ev.ID)
	return b.String()
}

// roomFilter matches all stored events of a room.
func roomFilter(node string, lane protocol.Lane, room string) string {
	var b strings.Builder
	b.WriteString(eventPrefix(node, lane))
	writeToken(&b, room)
	b.WriteString(".*")
	return b.String()
}

// writeToken writes any text as one subject token: letters, digits and _ : / - stand for
// themselves, every other byte is =XX, the empty text is a lone =. Different texts give different
// tokens.
func writeToken(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	if s == "" {
		b.WriteByte('=')
	}
	for i := range len(s) {
		if c := s[i]; c != '.' && idByte(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}

// checkNodeName accepts what can stand in a subject and a file name as it is.
func checkNodeName(what, name string) error {
	if name == "" {
		return fmt.Errorf("%s is empty: give it a name like eu-west-1", what)
	}
	for i := range len(name) {
		if c := name[i]; !idByte(c) || c == '.' || c == ':' || c == '/' {
			return fmt.Errorf("%s %q contains %q: use letters, digits, - and _", what, name, c)
		}
	}
	if len(name) > 63 {
		return fmt.Errorf("%s %q is longer than 63 bytes", what, name)
	}
	return nil
}
