package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// Claims is what a verified token says about its bearer. Raw and what is behind it are shared by all
// users of the same token: they are never written to.
type Claims struct {
	Role    string
	Subject string
	Expiry  time.Time       // zero: never (only in an open Verifier)
	Raw     json.RawMessage // the whole claims object
	Header  http.Header     // x- headers of the request that opened the socket; set by the server

	values map[string]any // Raw, decoded; nil if the claims were not made by a Verifier
}

// copy lets each bearer have a Header and an identity of its own.
func (c *Claims) copy() *Claims {
	own := *c
	return &own
}

// lookup returns the value at a path of keys, nil if there is none.
func (c *Claims) lookup(path []string) any {
	values := c.values
	if values == nil && c.Raw != nil {
		values, _ = decodeObject(c.Raw) // unreadable claims hold nothing
	}
	var value any = values
	for _, key := range path {
		object, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = object[key]
	}
	return value
}

// holds says whether the claim at a path is this text, or a list with this text in it. Numbers and
// booleans are compared as they are written in the token. An empty text is held by no claim.
func (c *Claims) holds(path []string, text string) bool {
	if text == "" {
		return false
	}
	value := c.lookup(path)
	list, ok := value.([]any)
	if !ok {
		return says(value, text)
	}
	for _, item := range list {
		if says(item, text) {
			return true
		}
	}
	return false
}

func says(value any, text string) bool {
	switch v := value.(type) {
	case string:
		return v == text
	case json.Number:
		return string(v) == text
	case bool:
		return v && text == "true" || !v && text == "false"
	}
	return false
}

var errNotObject = errors.New("not one JSON object")

// decodeObject decodes one JSON object and nothing else. Numbers keep their text.
func decodeObject(text []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF || object == nil {
		return nil, errNotObject
	}
	return object, nil
}
