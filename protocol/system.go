package protocol

import (
	"encoding/json"
	"fmt"
)

// What a server says on a channel that was joined with config.wedsync.resume, once everything that the
// member had missed is on its way: extension "wedsync", status "ok". Stock clients never ask for it.
const (
	ExtensionWedsync = "wedsync"
	Resumed          = "Resumed"
)

// System is the payload of a system message: the server's word on a channel.
type System struct {
	Extension string `json:"extension"`
	Status    string `json:"status"`
	Message   string `json:"message"`
	Channel   string `json:"channel"` // sub-topic
}

// SystemPayload returns the payload of a system message; an empty channel is left out.
func SystemPayload(extension, status, message, channel string) []byte {
	dst := appendString([]byte(`{"extension":`), extension)
	dst = appendString(append(dst, `,"status":`...), status)
	dst = appendString(append(dst, `,"message":`...), message)
	if channel != "" {
		dst = appendString(append(dst, `,"channel":`...), channel)
	}
	return append(dst, '}')
}

// ParseSystem reads the payload of a system message.
func ParseSystem(payload []byte) (System, error) {
	var s System
	if err := json.Unmarshal(payload, &s); err != nil {
		return System{}, fmt.Errorf("reading a system message: %w", err)
	}
	return s, nil
}
