package protocol

import (
	"fmt"
	"strconv"
)

// Meta is our metadata of a broadcast: {"id","lane","hlc","channel","from","replayed"}, in kind 3 and
// 4 frames their metadata field, in text frames the key "meta" of the payload. Stock clients hand it
// to the application or ignore it.
type Meta struct {
	ID       string // 1..64 bytes of [A-Za-z0-9._:/-]; the publisher may choose it
	Lane     Lane   // written only if it is not normal
	HLC      uint64 // hybrid logical time of the message; a decimal string on the wire (JavaScript has 53 bits)
	Channel  string // sub-topic that it was published on, if that is not the one it is received on
	From     string // the publisher's name
	Replayed bool   // came from the log, not live
}

const (
	// MaxID is the most bytes that a message id may have.
	MaxID = 64
	// MaxFrom is the most bytes that the publisher's name may take in its JSON form: it is cut there, and
	// earlier if the name of a channel needs the room. MaxChannel is the same for that: a longer one is
	// left out. With both every Meta fits the 255 bytes of a binary frame's metadata.
	MaxFrom    = 96
	MaxChannel = 100

	// maxNames is what the two may take together, with the key "channel".
	maxNames = 113
)

// ValidID says whether id may be the id of a message.
func ValidID(id string) bool {
	if id == "" || len(id) > MaxID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '.' || c == '_' || c == ':' || c == '/' || c == '-') {
			return false
		}
	}
	return true
}

// ParseMeta reads metadata. Nothing is an empty Meta; unknown keys are ignored; a key of ours with
// a wrong value is an error, because a message whose id was dropped could not be retried safely.
// The error's text begins with ReasonMalformed, so that it can be the reason of a refusal.
func ParseMeta(b []byte) (Meta, error) {
	var m Meta
	if len(b) == 0 {
		return m, nil
	}
	o, err := openObject(b)
	if err != nil {
		return Meta{}, fmt.Errorf(ReasonMalformed+": meta: %w", err)
	}
	for {
		key, value, err := o.next()
		if err != nil {
			return Meta{}, fmt.Errorf(ReasonMalformed+": meta: %w", err)
		}
		if value == nil {
			return m, nil
		}
		if err := m.set(string(key), value); err != nil {
			return Meta{}, fmt.Errorf(ReasonMalformed+": meta.%s: %w", key, err)
		}
	}
}

// ours says whether key is one of the keys that set understands.
func ours(key string) bool {
	switch key {
	case "id", "lane", "hlc", "channel", "from", "replayed":
		return true
	}
	return false
}

func (m *Meta) set(key string, value []byte) error {
	if !ours(key) || string(value) == "null" {
		return nil
	}
	if key == "replayed" {
		m.Replayed = string(value) == "true"
		if !m.Replayed && string(value) != "false" {
			return fmt.Errorf("want true or false")
		}
		return nil
	}
	s, err := unquote(value)
	if err != nil {
		return err
	}
	switch key {
	case "id":
		if m.ID = s; !ValidID(s) {
			return fmt.Errorf("%.80q is not an id: use 1 to %d characters of A-Z a-z 0-9 . _ : / -", s, MaxID)
		}
	case "lane":
		m.Lane, err = ParseLane(s)
	case "hlc":
		m.HLC, err = strconv.ParseUint(s, 10, 64)
	case "channel":
		m.Channel = s
	case "from":
		m.From = s
	}
	return err
}

// Append appends m as a JSON object of at most 255 bytes; see MaxFrom.
func (m Meta) Append(dst []byte) []byte {
	return append(m.appendMembers(append(dst, '{')), '}')
}

func (m Meta) appendMembers(dst []byte) []byte {
	from := len(dst)
	key := func(name string) {
		if len(dst) > from {
			dst = append(dst, ',')
		}
		dst = append(append(dst, name...), ':')
	}
	if m.ID != "" {
		key(`"id"`)
		dst = appendString(dst, m.ID)
	}
	if m.Lane != Normal {
		key(`"lane"`)
		dst = append(append(append(dst, '"'), m.Lane.String()...), '"')
	}
	if m.HLC != 0 {
		key(`"hlc"`)
		dst = append(strconv.AppendUint(append(dst, '"'), m.HLC, 10), '"')
	}
	most := MaxFrom
	if m.Channel != "" {
		before := len(dst)
		key(`"channel"`)
		if dst = appendString(dst, m.Channel); len(dst)-before > len(`,"channel":`)+MaxChannel {
			dst = dst[:before] // a part of it would be another channel
		} else {
			most = min(most, maxNames-(len(dst)-before))
		}
	}
	if m.From != "" && most > len(`""`) {
		key(`"from"`)
		dst = appendName(dst, m.From, most)
	}
	if m.Replayed {
		key(`"replayed"`)
		dst = append(dst, "true"...)
	}
	return dst
}

// appendName appends s as a JSON string of at most so many bytes, cut between characters.
func appendName(dst []byte, s string, most int) []byte {
	before := len(dst)
	if dst = appendString(dst, s); len(dst)-before <= most {
		return dst
	}
	dst = dst[:before]
	end := 0
	for i := range s { // i is the beginning of a character
		if len(appendString(nil, s[:i])) > most {
			break
		}
		end = i
	}
	return appendString(dst, s[:end])
}
