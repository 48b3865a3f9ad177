package protocol

import "fmt"

// Lane is the priority of a message.
type Lane uint8

// The lanes. Urgent is written before anything else and is never dropped.
const (
	Normal Lane = 0
	Urgent Lane = 1
)

// ParseLane reads the name of a lane; the empty name is Normal.
func ParseLane(s string) (Lane, error) {
	switch s {
	case "", "normal":
		return Normal, nil
	case "urgent":
		return Urgent, nil
	}
	return Normal, fmt.Errorf("lane %.20q is unknown: use urgent or normal", s)
}

// String returns the name of the lane.
func (l Lane) String() string {
	switch l {
	case Normal:
		return "normal"
	case Urgent:
		return "urgent"
	}
	return fmt.Sprintf("Lane(%d)", uint8(l))
}

// UrgentEvent is the user event that makes a broadcast urgent without metadata, so that a stock
// client can send one.
const UrgentEvent = "urgent"

// LaneOf returns the lane of a broadcast: urgent if its metadata or its user event says so.
func LaneOf(event string, m Meta) Lane {
	if m.Lane == Urgent || event == UrgentEvent {
		return Urgent
	}
	return Normal
}
