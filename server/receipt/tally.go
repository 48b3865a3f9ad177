package receipt

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

// Told is one receipt.
type Told struct {
	By      string `json:"by"`
	Region  string `json:"region"`   // where the recipient was connected
	AfterMS int64  `json:"after_ms"` // since the publication
}

// Tally is who has been told of one message.
type Tally struct {
	ID        string    `json:"id"`
	Room      string    `json:"room"`
	Path      string    `json:"path,omitempty"`
	Published time.Time `json:"published"`
	Expected  []string  `json:"expected"` // keys, sorted
	Told      []Told    `json:"told"`     // in the order in which they came, also of those not expected
	Missing   []string  `json:"missing"`  // the expected ones who have not confirmed, sorted
	Escalated bool      `json:"escalated"`
}

// message names an urgent message: ids are unique in their room.
type message struct{ room, id string }

// tally is what is known of one message.
type tally struct {
	message
	path, from string
	origin     string // the node that accepted it
	published  backbone.HLC
	told       map[string]Told
	escalated  bool

	// Of the agenda.
	due   time.Time
	stage stage
	place int // in the agenda, from 1; 0: not on it
}

// maxTold bounds the receipts of one message.
const maxTold = 10_000

// confirm takes a receipt; the first one of a member counts.
func (t *tally) confirm(r Told) (news bool) {
	if _, ok := t.told[r.By]; ok || len(t.told) >= maxTold {
		return false
	}
	if t.told == nil {
		t.told = map[string]Told{}
	}
	t.told[r.By] = r
	return true
}

// missing is how many of those who are expected have not confirmed.
func (t *tally) missing(r *roster) (n int) {
	for key := range r.expected(t.room, t.published) {
		if _, ok := t.told[key]; !ok && key != t.from {
			n++
		}
	}
	return n
}

// status is the tally as others see it.
func (t *tally) status(r *roster) Tally {
	s := Tally{
		ID: t.id, Room: t.room, Path: t.path, Published: t.published.Time().UTC(), Escalated: t.escalated,
		Expected: []string{}, Missing: []string{}, Told: t.receipts(),
	}
	for key := range r.expected(t.room, t.published) {
		if key == t.from {
			continue
		}
		s.Expected = append(s.Expected, key)
		if _, ok := t.told[key]; !ok {
			s.Missing = append(s.Missing, key)
		}
	}
	slices.Sort(s.Expected)
	slices.Sort(s.Missing)
	return s
}

// receipts is who has confirmed, in order.
func (t *tally) receipts() []Told {
	all := make([]Told, 0, len(t.told))
	for _, r := range t.told {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Told) int {
		if a.AfterMS != b.AfterMS {
			return int(a.AfterMS - b.AfterMS)
		}
		return strings.Compare(a.By, b.By)
	})
	return all
}

// EscalationPrefix begins the id of every escalation, and of nothing else.
const EscalationPrefix = "esc/"

// EscalationID is the id under which the escalation of a message is published: the prefix and the id, or
// a hash of it if that were too long.
func EscalationID(id string) string {
	if len(EscalationPrefix)+len(id) <= backbone.MaxID {
		return EscalationPrefix + id
	}
	sum := sha256.Sum256([]byte(id))
	return EscalationPrefix + hex.EncodeToString(sum[:(backbone.MaxID-len(EscalationPrefix))/2])
}
