package protocol

import (
	"encoding/json"
	"fmt"
)

// UserBroadcast is the payload of a text broadcast:
// {"type":"broadcast","event":…,"payload":…[,"meta":…]}.
type UserBroadcast struct {
	Event   string
	Payload json.RawMessage // nil if absent
	Meta    Meta
	HasMeta bool
}

// ParseUserBroadcast reads the payload of a text broadcast. It is as lenient as the original
// server, which forwards any object, even {}: a missing or wrongly typed event is "". The error
// says that the payload is no object or that meta is wrong; in the second case the rest is filled.
func ParseUserBroadcast(payload []byte) (UserBroadcast, error) {
	var u UserBroadcast
	o, err := openObject(payload)
	if err != nil {
		return u, fmt.Errorf("reading a broadcast's payload: %w", err)
	}
	var metaErr error
	for {
		key, value, err := o.next()
		if err != nil {
			return UserBroadcast{}, fmt.Errorf("reading a broadcast's payload: %w", err)
		}
		if value == nil {
			return u, metaErr
		}
		switch string(key) {
		case "event":
			u.Event, _ = unquote(value)
		case "payload":
			u.Payload = value
		case "meta":
			if u.HasMeta = string(value) != "null"; u.HasMeta {
				u.Meta, metaErr = ParseMeta(value)
			}
		}
	}
}

// AppendUserBroadcast appends u as the payload of a text broadcast. The keys stand in the order in
// which the original server writes them.
func AppendUserBroadcast(dst []byte, u *UserBroadcast) []byte {
	dst = appendString(append(dst, `{"event":`...), u.Event)
	dst = appendPayload(append(dst, `,"payload":`...), u.Payload)
	dst = append(dst, `,"type":"broadcast"`...)
	if u.HasMeta {
		dst = u.Meta.Append(append(dst, `,"meta":`...))
	}
	return append(dst, '}')
}

// AppendWithMeta appends the payload of a text broadcast verbatim, but for meta: our keys of it are
// set to m, keys that are not ours are kept. A payload that is no object is appended as it is.
func AppendWithMeta(dst, payload []byte, m Meta) []byte {
	before := len(dst)
	o, err := openObject(payload)
	if err != nil {
		return append(dst, payload...)
	}
	dst = append(dst, '{')
	var foreign []byte
	for {
		from := skipSpace(o.b, o.i)
		key, value, err := o.next()
		if err != nil {
			return append(dst[:before], payload...)
		}
		if value == nil {
			break
		}
		if string(key) == "meta" {
			foreign = appendForeign(foreign[:0], value)
			continue
		}
		// The member as it stood: from its key's quote to the end of its value.
		end, err := scanKey(o.b, from)
		if err != nil {
			return append(dst[:before], payload...)
		}
		dst = append(append(dst, o.b[from:end+len(value)]...), ',')
	}
	dst = m.appendMembers(append(dst, `"meta":{`...))
	if len(foreign) > 0 {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(dst, foreign...)
	}
	return append(dst, '}', '}')
}

// appendForeign appends the members of meta that are not ours, with commas between them.
func appendForeign(dst, meta []byte) []byte {
	o, err := openObject(meta)
	if err != nil {
		return dst
	}
	for {
		key, value, err := o.next()
		if err != nil || value == nil {
			return dst
		}
		if ours(string(key)) {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(appendString(dst, string(key)), ':'), value...)
	}
}
