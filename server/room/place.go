package room

import (
	"slices"
	"strings"

	"github.com/wedsync/wedsync/protocol"
)

// Tree names the hierarchical topics by their first segment. With "wedding" in it, the topics
//
//	wedding:42   wedding:42:timeline   wedding:42:vendor:florist
//
// are one room, that of wedding 42, at the paths "", "timeline" and "vendor:florist". Every other topic
// is a room of its own, whatever colons it has.
type Tree []string

// Place returns the room of a sub-topic, and where in it the topic is.
func (t Tree) Place(private bool, sub string) (room, path string) {
	if kind, rest, ok := strings.Cut(sub, ":"); ok && slices.Contains(t, kind) {
		if id, below, ok := strings.Cut(rest, ":"); ok && id != "" && below != "" {
			return Name(private, sub[:len(sub)-len(below)-1]), below
		}
	}
	return Name(private, sub), ""
}

// Name returns the name of the room of a topic that is no part of another.
func Name(private bool, sub string) string {
	if private {
		return "private:" + sub
	}
	return "public:" + sub
}

// SubTopic returns the sub-topic of a place: the inverse of Place.
func SubTopic(room, path string) string {
	_, sub, _ := strings.Cut(room, ":")
	if path == "" {
		return sub
	}
	return sub + ":" + path
}

// Concerns says whether a member at a path is sent what was published at another: whatever is below
// it, and everything urgent, because nobody at a wedding may miss that.
func Concerns(path, published string, lane protocol.Lane) bool {
	return lane == protocol.Urgent || Below(published, path)
}

// Below says whether a path is another one or below it.
func Below(path, other string) bool {
	return other == "" || path == other || strings.HasPrefix(path, other) && path[len(other)] == ':'
}

// place is the members of a room who have joined the same topic. Most rooms have one.
type place struct {
	path    string
	topic   string // on the wire
	members []*Member
}

func (p *place) add(m *Member) {
	m.place, m.index = p, len(p.members)
	p.members = append(p.members, m)
}

func (p *place) remove(m *Member) {
	last := len(p.members) - 1
	p.members[m.index] = p.members[last]
	p.members[m.index].index = m.index
	p.members[last] = nil
	p.members = p.members[:last]
}
