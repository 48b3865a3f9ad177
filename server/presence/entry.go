package presence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Limits of an entry, in bytes. The server's own limits are tighter; these bound what one entry can
// add to a gossip message.
const (
	MaxRoom    = 512
	MaxPath    = 512
	MaxKey     = 1 << 10
	MaxPayload = 4 << 20
)

// Entry is the presence of one channel instance: where it is, under which key, and what its client
// says about itself.
type Entry struct {
	Room    string // "private:wedding:42"
	Path    string // where below the room: "", "timeline", "vendor:florist"
	Key     string // entries of one key are shown together
	Payload []byte // a JSON object
}

// Validate says all that keeps an entry from being tracked.
func (e *Entry) Validate() error {
	_, err := e.clean()
	return err
}

// clean returns the entry in the form in which entries are compared, kept and sent, with a payload
// of its own, or says all that is wrong.
func (e *Entry) clean() (Entry, error) {
	var errs []error
	var payload []byte
	if n := len(e.Room); n == 0 || n > MaxRoom {
		errs = append(errs, fmt.Errorf("room has %d bytes: 1 to %d are allowed", n, MaxRoom))
	}
	if n := len(e.Path); n > MaxPath {
		errs = append(errs, fmt.Errorf("path in the room has %d bytes: at most %d are allowed", n, MaxPath))
	}
	if n := len(e.Key); n > MaxKey {
		errs = append(errs, fmt.Errorf("presence key has %d bytes: at most %d are allowed", n, MaxKey))
	}
	if n := len(e.Payload); n > MaxPayload {
		errs = append(errs, fmt.Errorf("presence payload has %d bytes: at most %d are allowed", n, MaxPayload))
	} else if p, err := compact(e.Payload); err != nil {
		errs = append(errs, err)
	} else {
		payload = p
	}
	return Entry{e.Room, e.Path, strings.ToValidUTF8(e.Key, "\ufffd"), payload}, errors.Join(errs...)
}

// at reports whether a member at path sees the entry: it is there or below.
func (e *Entry) at(path string) bool {
	below, ok := strings.CutPrefix(e.Path, path)
	return ok && (path == "" || below == "" || below[0] == ':')
}

// same reports whether two entries, both compact, say the same.
func (e *Entry) same(o *Entry) bool {
	return e.Room == o.Room && e.Path == o.Path && e.Key == o.Key && bytes.Equal(e.Payload, o.Payload)
}

// compact returns a copy of a JSON object without white space. What is not UTF-8 in it becomes U+FFFD:
// a browser closes the socket on a text frame with anything else.
func compact(payload []byte) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(len(payload))
	if err := json.Compact(&buf, payload); err != nil {
		return nil, fmt.Errorf("presence payload is not JSON: %w; send an object", err)
	}
	if buf.Bytes()[0] != '{' {
		return nil, errors.New("presence payload is not a JSON object: send an object")
	}
	return bytes.ToValidUTF8(buf.Bytes(), []byte("\ufffd")), nil
}
