package protocol

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// System messages of the extension "wedsync" have the status "ok" and one of these as their message. They go
// only to those who asked for them when they joined, which stock clients never do.
const (
	ExtensionWedsync = "wedsync"

	// Resumed follows a join with config.wedsync.resume: everything that the member had missed is on its way.
	Resumed = "Resumed"
	// Moving asks a member that joined with config.wedsync.move to join elsewhere: the node is being drained,
	// and closes the socket after ByMS. Until then the channel works.
	Moving = "Moving"
	// Shed says that Count bulk messages of the channel have not been sent to the member since the last such
	// word, because it read too slowly.
	Shed = "Shed"
)

// System is the payload of a system message: the server's word on a channel.
type System struct {
	Extension string `json:"extension"`
	Status    string `json:"status"`
	Message   string `json:"message"`
	Channel   string `json:"channel"`         // sub-topic
	ByMS      int64  `json:"by_ms,omitempty"` // of Moving
	Count     int64  `json:"count,omitempty"` // of Shed
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

// MovingPayload returns the payload of Moving.
func MovingPayload(channel string, by time.Duration) []byte {
	return appendNumber(SystemPayload(ExtensionWedsync, StatusOK, Moving, channel), `,"by_ms":`, by.Milliseconds())
}

// ShedPayload returns the payload of Shed.
func ShedPayload(channel string, count int64) []byte {
	return appendNumber(SystemPayload(ExtensionWedsync, StatusOK, Shed, channel), `,"count":`, count)
}

// appendNumber adds a member to an object.
func appendNumber(object []byte, key string, n int64) []byte {
	object = append(object[:len(object)-1], key...)
	return append(strconv.AppendInt(object, n, 10), '}')
}

// ParseSystem reads the payload of a system message.
func ParseSystem(payload []byte) (System, error) {
	var s System
	if err := json.Unmarshal(payload, &s); err != nil {
		return System{}, fmt.Errorf("reading a system message: %w", err)
	}
	return s, nil
}
