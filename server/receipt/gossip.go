package receipt

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/server/backbone"
)

// gossip is one message between nodes, as JSON; what is not understood is passed over, because nodes are
// upgraded one by one. Each of its parts may be missing:
//
//	beat   the node lives, and this is the digest of its roster
//	bye    the node ends
//	ask    these are the digests of the parts of my roster: send me those of yours that differ
//	rooms  news of the roster
//	query  which receipts have you for these messages?
//	told   the receipts that I have
type gossip struct {
	Node  string             `json:"node"`
	Beat  *uint64            `json:"beat,omitempty"`
	Bye   bool               `json:"bye,omitempty"`
	Ask   []uint64           `json:"ask,omitempty"`
	Rooms map[string][]entry `json:"rooms,omitempty"`
	Query []query            `json:"query,omitempty"`
	Told  []told             `json:"told,omitempty"`

	to string // one node, or "" for all
}

// entry is the standing of one member of a room.
type entry struct {
	Key   string       `json:"k"`
	Since backbone.HLC `json:"s,omitempty"`
	At    backbone.HLC `json:"a"`
	Left  bool         `json:"l,omitempty"`
}

type query struct {
	Room string `json:"room"`
	ID   string `json:"id"`
}

type told struct {
	query
	Told []Told `json:"told"`
}

// Limits of a message. The first two keep what is sent below the others, which are for what is received.
const (
	maxEntries = 1000   // of one message
	maxAnswer  = 10_000 // entries in answer to one question; the next question brings more
	maxGossip  = 2 << 20
)

// errMalformed is wrapped by every error of decode.
var errMalformed = errors.New("malformed message")

func (g *gossip) encode() ([]byte, error) {
	data, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("writing a message: %w", err)
	}
	return data, nil
}

// decode reads a message and checks all that others could not have meant.
func decode(data []byte) (*gossip, error) {
	if len(data) > maxGossip {
		return nil, fmt.Errorf("%w: %d bytes, the most is %d", errMalformed, len(data), maxGossip)
	}
	var g gossip
	if err := json.Unmarshal(data, &g); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if n := len(g.Node); n == 0 || n > backbone.MaxName {
		return nil, fmt.Errorf("%w: node name has %d bytes", errMalformed, n)
	}
	if n := len(g.Ask); n != 0 && n != parts {
		return nil, fmt.Errorf("%w: %d digests, not %d", errMalformed, n, parts)
	}
	for room, entries := range g.Rooms {
		if n := len(room); n == 0 || n > backbone.MaxRoom {
			return nil, fmt.Errorf("%w: room name has %d bytes", errMalformed, n)
		}
		for _, e := range entries {
			if n := len(e.Key); n == 0 || n > backbone.MaxName {
				return nil, fmt.Errorf("%w: key of a member has %d bytes", errMalformed, n)
			}
		}
	}
	for _, t := range g.Told {
		for _, r := range t.Told {
			if n := len(r.By); n == 0 || n > backbone.MaxName {
				return nil, fmt.Errorf("%w: key in a receipt has %d bytes", errMalformed, n)
			}
		}
	}
	return &g, nil
}

// batch collects news of the roster into messages of at most maxEntries.
type batch struct {
	to    string
	full  []gossip
	rooms map[string][]entry
	count int // in rooms
	total int
}

func (b *batch) add(m member, s standing) {
	if b.rooms == nil {
		b.rooms = map[string][]entry{}
	}
	b.rooms[m.room] = append(b.rooms[m.room], entry{Key: m.key, Since: s.Since, At: s.At, Left: s.Left})
	b.total++
	if b.count++; b.count == maxEntries {
		b.cut()
	}
}

func (b *batch) cut() {
	if b.count > 0 {
		b.full = append(b.full, gossip{to: b.to, Rooms: b.rooms})
	}
	b.rooms, b.count = nil, 0
}

func (b *batch) messages() []gossip {
	b.cut()
	return b.full
}
