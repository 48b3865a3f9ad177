package bench

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Dialect is how clients speak to a kind of server: what they say to get into a room, to publish and to stay
// connected, and what they are told. It keeps no state, so all clients of a crowd share one. Whatever the dialect, a
// message carries its mark (schedule.go), which is how a delivery is recognized.
type Dialect interface {
	// endpoint is what clients dial, for the address of a server; one without a path is given the usual one.
	endpoint(address *url.URL) string

	// enter is what a client says next on its way into a room: heard is what the server has said last, nil right
	// after the connection was made. in: it has arrived, and has nothing more to say. A client that publishes is not
	// to receive what it sends.
	enter(room string, publishes bool, heard []byte) (say []byte, in bool, err error)

	// appendPublish appends what a client says to send the text of a message to a room.
	appendPublish(dst []byte, room string, m *message) []byte

	// answer is what a client has to say to a message lest it be taken for dead; nil: nothing.
	answer(heard []byte) []byte
}

// dialects by their names.
var dialects = map[string]Dialect{"supabase": supabase{}, "centrifugo": centrifugo{}, "socketio": socketIO{}}

// ParseDialect finds a dialect by its name.
func ParseDialect(name string) (Dialect, error) {
	if d, ok := dialects[name]; ok {
		return d, nil
	}
	return nil, fmt.Errorf("there is no dialect %q: choose from %s", name, strings.Join(slices.Sorted(maps.Keys(dialects)), ", "))
}

// orPath gives an address without a path the usual one.
func orPath(address *url.URL, path string) *url.URL {
	if strings.Trim(address.Path, "/") != "" {
		return address
	}
	usual := *address
	usual.Path = path
	return &usual
}
