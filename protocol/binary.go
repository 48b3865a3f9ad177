package protocol

import (
	"fmt"
	"unicode/utf8"
)

// The binary frames. All sizes are one byte, so every field but the payload has at most 255 bytes.
//
//	kind 3, client to server          kind 4, server to client
//	0  kind = 3                       0  kind = 4
//	1  length of join_ref             1  length of topic
//	2  length of ref                  2  length of user event
//	3  length of topic                3  length of metadata
//	4  length of user event           4  encoding of the payload
//	5  length of metadata             5  topic, user event, metadata, payload
//	6  encoding of the payload
//	7  join_ref, ref, topic, user event, metadata, payload
//
// Kinds 0 to 2 exist in Phoenix; they must not be sent to realtime-js, which throws on them.
const (
	kindPush      = 3
	kindBroadcast = 4

	pushHeader      = 7
	broadcastHeader = 5

	// MaxFrame is the most bytes that a frame from a client can have; servers close the socket on a
	// larger one.
	MaxFrame = 5_000_000
	// MaxField is the most bytes that a field of a binary frame can have.
	MaxField = 255
)

// DecodePush reads a kind 3 frame. Metadata and payload are slices of b. A JSON payload is checked,
// because it is forwarded inside text frames too.
func DecodePush(b []byte) (Frame, error) {
	if len(b) < pushHeader {
		return Frame{}, malformed("%d bytes are too few for a binary push", len(b))
	}
	if b[0] != kindPush {
		return Frame{}, malformed("binary kind %d is not accepted here, want %d", b[0], kindPush)
	}
	r := fields{rest: b[pushHeader:]}
	joinRef, ref := r.take(b[1]), r.take(b[2])
	topic, event, meta := r.take(b[3]), r.take(b[4]), r.take(b[5])
	if r.short {
		return Frame{}, malformed("fields of a binary push reach beyond its %d bytes", len(b))
	}
	// Each on its own: a character must not reach from one field into the next.
	if !utf8.Valid(joinRef) || !utf8.Valid(ref) || !utf8.Valid(topic) || !utf8.Valid(event) || !utf8.Valid(meta) {
		return Frame{}, malformed("a field of a binary push is not UTF-8")
	}
	br := &Broadcast{Event: intern(event), Encoding: encodingOf(b[6]), Meta: meta, Payload: r.rest}
	if err := br.check(); err != nil {
		return Frame{}, err
	}
	return Frame{
		JoinRef: textRef(joinRef), Ref: textRef(ref),
		Topic: string(topic), Event: EventBroadcast, Broadcast: br,
	}, nil
}

// check refuses what would break a receiver who trusts the forwarding server.
func (b *Broadcast) check() error {
	if b.Meta != nil {
		if err := validObject(b.Meta); err != nil {
			return malformed("metadata: %w", err)
		}
	}
	if b.Encoding == Binary {
		return nil
	}
	if !utf8.Valid(b.Payload) {
		return malformed("a JSON payload is not UTF-8")
	}
	if err := validValue(b.Payload); err != nil {
		return malformed("payload: %w", err)
	}
	return nil
}

// DecodeBroadcast reads a kind 4 frame. Metadata and payload are slices of b and are not looked at:
// the server has checked them.
func DecodeBroadcast(b []byte) (Frame, error) {
	if len(b) < broadcastHeader {
		return Frame{}, malformed("%d bytes are too few for a binary broadcast", len(b))
	}
	if b[0] != kindBroadcast {
		return Frame{}, malformed("binary kind %d is not accepted here, want %d", b[0], kindBroadcast)
	}
	r := fields{rest: b[broadcastHeader:]}
	topic, event, meta := r.take(b[1]), r.take(b[2]), r.take(b[3])
	if r.short {
		return Frame{}, malformed("fields of a binary broadcast reach beyond its %d bytes", len(b))
	}
	return Frame{
		Topic: string(topic), Event: EventBroadcast,
		Broadcast: &Broadcast{Event: intern(event), Encoding: encodingOf(b[4]), Meta: meta, Payload: r.rest},
	}, nil
}

// AppendPush appends f as a kind 3 frame. f.Broadcast must be set. On error dst is returned as it was.
func AppendPush(dst []byte, f *Frame) ([]byte, error) {
	br := f.Broadcast
	if br == nil {
		return dst, fmt.Errorf("writing a binary push: the frame carries no broadcast")
	}
	joinRef, ref := f.JoinRef.Text(), f.Ref.Text()
	if err := checkSizes(size{"join_ref", len(joinRef)}, size{"ref", len(ref)}, size{"topic", len(f.Topic)},
		size{"event", len(br.Event)}, size{"metadata", len(br.Meta)}); err != nil {
		return dst, fmt.Errorf("writing a binary push: %w", err)
	}
	dst = append(dst, kindPush, byte(len(joinRef)), byte(len(ref)), byte(len(f.Topic)),
		byte(len(br.Event)), byte(len(br.Meta)), byte(br.Encoding))
	dst = append(append(dst, joinRef...), ref...)
	dst = append(append(dst, f.Topic...), br.Event...)
	return append(append(dst, br.Meta...), br.Payload...), nil
}

// AppendBroadcast appends b as a kind 4 frame on a wire topic. On error, which says that a field
// exceeds 255 bytes, dst is returned as it was.
func AppendBroadcast(dst []byte, topic string, b *Broadcast) ([]byte, error) {
	if err := checkSizes(size{"topic", len(topic)}, size{"event", len(b.Event)}, size{"metadata", len(b.Meta)}); err != nil {
		return dst, fmt.Errorf("writing a binary broadcast: %w", err)
	}
	dst = append(dst, kindBroadcast, byte(len(topic)), byte(len(b.Event)), byte(len(b.Meta)), byte(b.Encoding))
	dst = append(append(dst, topic...), b.Event...)
	return append(append(dst, b.Meta...), b.Payload...), nil
}

// fields cuts the fields of a binary frame off its front; short stays set once one is missing.
type fields struct {
	rest  []byte
	short bool
}

func (r *fields) take(n byte) []byte {
	if int(n) > len(r.rest) {
		r.short, r.rest = true, nil
		return nil
	}
	if n == 0 {
		return nil
	}
	field := r.rest[:n:n]
	r.rest = r.rest[n:]
	return field
}

func encodingOf(b byte) Encoding {
	if b == byte(Binary) {
		return Binary
	}
	return JSON
}

func textRef(b []byte) Ref {
	if len(b) == 0 {
		return ""
	}
	return StringRef(string(b))
}

type size struct {
	name  string
	bytes int
}

func checkSizes(sizes ...size) error {
	for _, s := range sizes {
		if s.bytes > MaxField {
			return fmt.Errorf("%s has %d bytes, the most is %d", s.name, s.bytes, MaxField)
		}
	}
	return nil
}
