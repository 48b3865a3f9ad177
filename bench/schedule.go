package bench

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

// plan is when the messages of a room are due, after the start: by lane and sequence number.
type plan [2][]time.Duration

// send is one message to send.
type send struct {
	due  time.Duration
	lane protocol.Lane
	seq  int
}

// planRooms spreads the messages of n rooms evenly over time: each room has background messages per second, shifted
// against those of its neighbours, and urgent ones per second of all rooms together go from room to room.
func planRooms(n int, background, urgent float64, length time.Duration) []plan {
	plans := make([]plan, n)
	period := time.Duration(float64(time.Second) / background)
	for i := range plans {
		for due := period * time.Duration(i) / time.Duration(n); due < length; due += period {
			plans[i][protocol.Normal] = append(plans[i][protocol.Normal], due)
		}
	}
	if urgent > 0 {
		period := time.Duration(float64(time.Second) / urgent)
		room := 0
		for due := period / 2; due < length; due += period {
			lane := &plans[room%n][protocol.Urgent]
			*lane = append(*lane, due)
			room++
		}
	}
	return plans
}

// sends are the messages of a room in the order in which they are due.
func (p *plan) sends() []send {
	var all []send
	for lane, dues := range p {
		for seq, due := range dues {
			all = append(all, send{due: due, lane: protocol.Lane(lane), seq: seq})
		}
	}
	slices.SortStableFunc(all, func(a, b send) int { return cmp.Compare(a.due, b.due) })
	return all
}

// count is how many messages are due at or after a time.
func (p *plan) count(from time.Duration) (n int) {
	for _, dues := range p {
		for _, due := range dues {
			if due >= from {
				n++
			}
		}
	}
	return n
}

// A message carries its lane and sequence number as "mark":[lane,seq], which servers forward as it is.
const markKey = `"mark":[`

// filler makes a message as long as a wedding-day update with its ids.
const filler = `],"text":"The ceremony moves to 4 PM because of the rain: flowers and strings to the winter garden, please confirm."}`

// message is what is sent, in no dialect yet.
type message struct {
	lane protocol.Lane
	text []byte // a JSON object
}

// message is the one to send.
func (s send) message() *message {
	text := strconv.AppendInt([]byte(`{`+markKey), int64(s.lane), 10)
	text = strconv.AppendInt(append(text, ','), int64(s.seq), 10)
	return &message{lane: s.lane, text: append(text, filler...)}
}

// marks are the lane and sequence number of every message in a frame of any dialect.
func marks(frame []byte) iter.Seq2[int, int] {
	return func(yield func(lane, seq int) bool) {
		for {
			at := bytes.Index(frame, []byte(markKey))
			if at < 0 {
				return
			}
			frame = frame[at+len(markKey):]
			if lane, seq, ok := readMark(frame); ok && !yield(lane, seq) {
				return
			}
		}
	}
}

// readMark reads what follows markKey.
func readMark(rest []byte) (lane, seq int, ok bool) {
	if len(rest) < 4 || rest[0] != '0' && rest[0] != '1' || rest[1] != ',' {
		return 0, 0, false
	}
	lane = int(rest[0] - '0')
	for i, c := range rest[2:] {
		switch {
		case c == ']':
			return lane, seq, i > 0
		case c < '0' || c > '9' || i > 8:
			return 0, 0, false
		}
		seq = seq*10 + int(c-'0')
	}
	return 0, 0, false
}
