// Package protocol is the wire: how a frame of the Supabase Realtime protocol looks in bytes.
//
// A frame has five parts. The topic says which channel it belongs to, the event says what it is,
// the payload carries the content, ref ties a reply to its push, and join_ref names one life of a
// channel (the ref of the join that began it). The protocol has two versions, chosen by the query
// parameter vsn when the socket opens:
//
//	1.0.0   text: {"topic":…,"event":…,"payload":…,"ref":…}           (client may add "join_ref")
//	2.0.0   text: [join_ref, ref, topic, event, payload]
//	        binary kind 3, client to server: a user's broadcast       (DecodePush, AppendPush)
//	        binary kind 4, server to client: a user's broadcast       (DecodeBroadcast, AppendBroadcast)
//
// A user's broadcast therefore has two shapes: the text one is an ordinary frame whose payload is
// {"type":"broadcast","event":…,"payload":…,"meta":…} (UserBroadcast); the binary one keeps event,
// metadata and payload apart (Broadcast).
//
// What stock clients do not know rides where they ignore it: Meta in a broadcast's metadata,
// Extension in a join's config, and the event "receipt".
//
// Decoders take bytes from strangers. They never panic, they check what could hurt somebody else
// (text that is not UTF-8 or not JSON would be forwarded to other people's browsers), and payloads
// stay slices of the input: whoever keeps one beyond the life of the read buffer must copy it.
// Encoders append to a slice that the caller owns, so that a fan-out allocates once.
package protocol

import (
	"errors"
	"fmt"
)

// Frame is one message in either direction, whatever its version and shape on the wire.
type Frame struct {
	JoinRef Ref
	Ref     Ref
	Topic   string // with the prefix "realtime:"
	Event   string
	Payload []byte // JSON; nil in a binary frame, and written as {} when empty

	// Broadcast is set for binary frames (kinds 3 and 4) alone. Event is then "broadcast".
	Broadcast *Broadcast
}

// Broadcast is what one user says to a channel, in the parts that the binary frames keep apart.
type Broadcast struct {
	Event    string
	Encoding Encoding
	Meta     []byte // a JSON object, or nil
	Payload  []byte
}

// Encoding says what the payload of a binary frame is. The values are those of the wire.
type Encoding uint8

// The encodings of a binary frame's payload. A decoder reads every other value as JSON.
const (
	Binary Encoding = 0
	JSON   Encoding = 1
)

// ErrMalformed is wrapped by the error of every decoder of frames. A server drops such a frame and
// leaves the socket open, as Phoenix does.
var ErrMalformed = errors.New("malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMalformed, fmt.Errorf(format, args...))
}
