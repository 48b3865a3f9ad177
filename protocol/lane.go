package protocol

import "fmt"

// Lane is the priority of a message.
type Lane uint8

// The lanes. Urgent is written before anything else and is never dropped. Bulk comes last and is shed
// first: it is neither held nor replayed, and its recipients are told how much they have missed.
const (
	Normal Lane = 0
	Urgent Lane = 1
	Bulk   Lane = 2

	// Lanes is how many there are.
	Lanes = 3
)

// ParseLane reads the name of a lane; the empty name is Normal.
func ParseLane(s string) (Lane, error) {
	switch s {
	case "", "normal":
		return Normal, nil
	case "urgent":
		return Urgent, nil
	case "bulk":
		return Bulk, nil
	}
	return Normal, fmt.Errorf("lane %.20q is unknown: use urgent, normal or bulk", s)
}

// String returns the name of the lane.
func (l Lane) String() string {
	switch l {
	case Normal:
		return "normal"
	case Urgent:
		return "urgent"
	case Bulk:
		return "bulk"
	}
	return fmt.Sprintf("Lane(%d)", uint8(l))
}

// UrgentEvent is the user event that makes a broadcast urgent without metadata, so that a stock
// client can send one.
const UrgentEvent = "urgent"

// LaneOf returns the lane of a broadcast: the one of its metadata, or urgent if its user event says so.
func LaneOf(event string, m Meta) Lane {
	if event == UrgentEvent {
		return Urgent
	}
	return m.Lane
}
