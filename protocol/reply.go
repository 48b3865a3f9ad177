package protocol

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
)

// The statuses of a reply.
const (
	StatusOK    = "ok"
	StatusError = "error"
)

// Reply is the payload of phx_reply.
type Reply struct {
	Status   string          `json:"status"`
	Response json.RawMessage `json:"response"`
}

// ParseReply reads the payload of phx_reply.
func ParseReply(payload []byte) (Reply, error) {
	var r Reply
	if err := json.Unmarshal(payload, &r); err != nil {
		return Reply{}, fmt.Errorf("reading a reply: %w", err)
	}
	return r, nil
}

// Reason returns what a refusing reply says, or "": the key reason or error of its response, or the
// response itself if that is a string (the original server has all three).
func (r Reply) Reason() string {
	var s string
	if json.Unmarshal(r.Response, &s) == nil {
		return s
	}
	var o struct{ Reason, Error string }
	if json.Unmarshal(r.Response, &o) != nil || o.Reason == "" && o.Error == "" {
		return ""
	}
	if o.Reason != "" {
		return o.Reason
	}
	return o.Error
}

// ReplyPayload returns the payload of phx_reply. A nil response is {}, and so is one that has no
// JSON form.
func ReplyPayload(status string, response any) []byte {
	dst := appendString([]byte(`{"status":`), status)
	dst = append(dst, `,"response":`...)
	switch r := response.(type) {
	case nil:
		return append(dst, "{}}"...)
	case string:
		return append(appendString(dst, r), '}')
	case json.RawMessage:
		return append(appendPayload(dst, r), '}')
	}
	b, err := json.Marshal(response)
	if err != nil {
		b = nil
	}
	return append(appendPayload(dst, b), '}')
}

// ReasonPayload returns the payload of a refusing phx_reply: {"status":"error","response":{"reason":…}}.
func ReasonPayload(reason string) []byte {
	dst := appendString([]byte(`{"status":"error","response":{"reason":`), reason)
	return append(dst, "}}"...)
}

// CrashPayload is the payload of phx_error: the channel has ended by no fault of the client, which joins
// again.
var CrashPayload = []byte(`{"reason":"channel_crash"}`)

// ChangesID is the id of an entry of config.postgres_changes, as asked for: 27 bits, as in the original.
// Equal entries get equal ids.
func ChangesID(entry []byte) int64 {
	h := fnv.New32a()
	_, _ = h.Write(entry) // a hash does not fail
	return int64(h.Sum32() & (1<<27 - 1))
}

// JoinResponse returns the response to an accepted join: the requested Postgres changes in their
// order, each with an id. Clients compare the entries with what they asked for, so the keys and
// values are untouched; an entry is a JSON object, and equal entries get equal ids.
func JoinResponse(changes []json.RawMessage) json.RawMessage {
	dst := []byte(`{"postgres_changes":[`)
	for i, entry := range changes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendIdentified(dst, entry)
	}
	return append(dst, "]}"...)
}

func appendIdentified(dst []byte, entry json.RawMessage) []byte {
	o, err := openObject(entry)
	if err != nil {
		return append(dst, "{}"...)
	}
	dst = fmt.Appendf(dst, `{"id":%d`, ChangesID(entry))
	for {
		key, value, err := o.next()
		if err != nil || value == nil {
			return append(dst, '}')
		}
		if string(key) != "id" {
			dst = append(append(appendString(append(dst, ','), string(key)), ':'), value...)
		}
	}
}
