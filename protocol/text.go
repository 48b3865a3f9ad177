package protocol

import (
	"fmt"
	"unicode/utf8"
)

// DecodeText reads a text frame of either direction. Its payload is a slice of b. The whole frame
// is checked to be UTF-8 and JSON, because a server forwards payloads verbatim.
func DecodeText(v Version, b []byte) (Frame, error) {
	if !utf8.Valid(b) {
		return Frame{}, malformed("text is not UTF-8")
	}
	switch v {
	case V1:
		return decodeV1(b)
	case V2:
		return decodeV2(b)
	}
	return Frame{}, malformed("no text form in %v", v)
}

// decodeV1 reads {"topic","event","payload","ref"[,"join_ref"]}; other keys are ignored.
func decodeV1(b []byte) (Frame, error) {
	var f Frame
	o, err := openObject(b)
	if err != nil {
		return Frame{}, malformed("%w", err)
	}
	var seen struct{ topic, event, payload, ref bool }
	for {
		key, value, err := o.next()
		if err != nil {
			return Frame{}, malformed("%w", err)
		}
		if value == nil {
			break
		}
		switch string(key) {
		case "topic":
			f.Topic, err = unquote(value)
			seen.topic = true
		case "event":
			f.Event, err = unquote(value)
			seen.event = true
		case "payload":
			f.Payload = value
			seen.payload = true
		case "ref":
			f.Ref = rawRef(value)
			seen.ref = true
		case "join_ref":
			f.JoinRef = rawRef(value)
		}
		if err != nil {
			return Frame{}, malformed("key %q: %w", key, err)
		}
	}
	if i := skipSpace(b, o.i+1); i < len(b) {
		return Frame{}, malformed("%w", errAt(i, b, "nothing more"))
	}
	for _, part := range []struct {
		name string
		seen bool
	}{{"topic", seen.topic}, {"event", seen.event}, {"payload", seen.payload}, {"ref", seen.ref}} {
		if !part.seen {
			return Frame{}, malformed("key %q is missing", part.name)
		}
	}
	return f, nil
}

// decodeV2 reads [join_ref, ref, topic, event, payload]; further elements are ignored.
func decodeV2(b []byte) (Frame, error) {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '[' {
		return Frame{}, malformed("%w", errAt(i, b, "an array"))
	}
	i++
	var f Frame
	for part := 0; ; part++ {
		i = skipSpace(b, i)
		end, err := scanValue(b, i)
		if err != nil {
			return Frame{}, malformed("%w", err)
		}
		value := b[i:end:end]
		switch part {
		case 0:
			f.JoinRef = rawRef(value)
		case 1:
			f.Ref = rawRef(value)
		case 2:
			f.Topic, err = unquote(value)
		case 3:
			f.Event, err = unquote(value)
		case 4:
			f.Payload = value
		}
		if err != nil {
			return Frame{}, malformed("element %d: %w", part+1, err)
		}
		if i = skipSpace(b, end); i < len(b) && b[i] == ',' {
			i++
			continue
		}
		if i >= len(b) || b[i] != ']' {
			return Frame{}, malformed("%w", errAt(i, b, "a comma or the end of an array"))
		}
		if part < 4 {
			return Frame{}, malformed("%d elements, want 5", part+1)
		}
		break
	}
	if i = skipSpace(b, i+1); i < len(b) {
		return Frame{}, malformed("%w", errAt(i, b, "nothing more"))
	}
	return f, nil
}

// AppendText appends f as a server sends it. Version 1 has exactly the keys topic, event, payload
// and ref: phx_close and phx_error must carry the join ref in Ref there.
func AppendText(dst []byte, v Version, f *Frame) []byte {
	if v == V1 {
		return append(appendV1(dst, f), '}')
	}
	return appendV2(dst, f)
}

// AppendTextPush appends f as a client sends it: version 1 with join_ref.
func AppendTextPush(dst []byte, v Version, f *Frame) []byte {
	if v == V1 {
		dst = append(appendV1(dst, f), `,"join_ref":`...)
		return append(appendRef(dst, f.JoinRef), '}')
	}
	return appendV2(dst, f)
}

func appendV1(dst []byte, f *Frame) []byte {
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, f.Topic)
	dst = append(dst, `,"event":`...)
	dst = appendString(dst, f.Event)
	dst = append(dst, `,"payload":`...)
	dst = appendPayload(dst, f.Payload)
	dst = append(dst, `,"ref":`...)
	return appendRef(dst, f.Ref)
}

func appendV2(dst []byte, f *Frame) []byte {
	dst = appendRef(append(dst, '['), f.JoinRef)
	dst = appendRef(append(dst, ','), f.Ref)
	dst = appendString(append(dst, ','), f.Topic)
	dst = appendString(append(dst, ','), f.Event)
	dst = appendPayload(append(dst, ','), f.Payload)
	return append(dst, ']')
}

func appendPayload(dst, payload []byte) []byte {
	if len(payload) == 0 {
		return append(dst, "{}"...)
	}
	return append(dst, payload...)
}

// String shows what a frame is, without its content, for logs.
func (f *Frame) String() string {
	if f.Broadcast != nil {
		return fmt.Sprintf("%s %s %q (%d bytes)", f.Topic, f.Event, f.Broadcast.Event, len(f.Broadcast.Payload))
	}
	return fmt.Sprintf("%s %s ref %s (%d bytes)", f.Topic, f.Event, appendRef(nil, f.Ref), len(f.Payload))
}
