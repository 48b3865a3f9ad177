package receipt

import (
	"container/heap"
	"time"
)

// stage is how far the escalation of a message has come.
type stage uint8

const (
	waiting stage = iota // for the receipts
	ranked               // for the nodes before this one
	asked                // for receipts that only others have
)

// agenda is the messages that may have to be escalated, the next one first.
type agenda []*tally

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].due.Before(a[j].due) }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].place, a[j].place = i+1, j+1
}

// Push and Pop are for package heap; use put and next.
func (a *agenda) Push(t any) {
	*a = append(*a, t.(*tally))
	t.(*tally).place = len(*a)
}

func (a *agenda) Pop() any {
	last := len(*a) - 1
	t := (*a)[last]
	t.place = 0
	(*a)[last] = nil
	*a = (*a)[:last]
	return t
}

// put sets a message on the agenda.
func (a *agenda) put(t *tally, s stage, due time.Time) {
	t.stage, t.due = s, due
	heap.Push(a, t)
}

// strike takes a message off, if it is on the agenda.
func (a *agenda) strike(t *tally) {
	if t.place > 0 {
		heap.Remove(a, t.place-1)
	}
}

// next takes the first message off whose time has come.
func (a *agenda) next(now time.Time) *tally {
	if len(*a) == 0 || (*a)[0].due.After(now) {
		return nil
	}
	return heap.Pop(a).(*tally)
}

// due is when there is something to do, or zero.
func (a agenda) due() time.Time {
	if len(a) == 0 {
		return time.Time{}
	}
	return a[0].due
}

// rank is how many of the other nodes come before this one in escalating a message. All nodes that know
// the same others agree on it (rendezvous hashing), and a node that goes changes nothing in the order of the rest.
func rank(node string, others []string, m message) (n int) {
	mine := hash(node, m.room, m.id)
	for _, other := range others {
		if theirs := hash(other, m.room, m.id); theirs > mine || theirs == mine && other < node {
			n++
		}
	}
	return n
}
