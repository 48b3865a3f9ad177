package backbone

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/protocol"
)

// Limits of an event. They keep one event well below what a log server accepts in one message.
const (
	MaxID      = 64      // bytes, of [A-Za-z0-9._:/-]
	MaxRoom    = 512     // bytes
	MaxName    = 255     // bytes, also of From and Origin
	MaxPath    = 512     // bytes
	MaxPayload = 4 << 20 // bytes
)

// Form tells how the payload of an event is to be put on the wire.
type Form uint8

// The forms.
const (
	Text   Form = 0 // the payload object of a text broadcast, forwarded verbatim
	JSON   Form = 1 // the JSON payload of a binary broadcast (kind 4)
	Binary Form = 2 // the opaque payload of a binary broadcast (kind 4)
)

// Event is one message of a room. It must not be changed once it has been published or delivered:
// rings, queues and other goroutines share it.
type Event struct {
	ID     string // unique in its room; empty for casts that need no dedup
	HLC    HLC
	Origin string // the node that accepted it
	Lane   protocol.Lane
	Room   string
	Path   string // where in the room it was published: what the topic has below the room's; mostly empty
	Name   string // user event
	From   string // publisher's key, may be empty
	Form   Form
	// Payload is as Form says; after Decode it shares memory with the decoded bytes.
	Payload []byte

	Replayed bool // local: it came by catch-up or replay, and is older than a few seconds
	Sender   any  // local: the member that published it, for self:false
}

// Validate says all that keeps an event from being published.
func (ev *Event) Validate() error {
	var errs []error
	if n := len(ev.ID); n > MaxID {
		errs = append(errs, fmt.Errorf("id has %d bytes: at most %d are allowed", n, MaxID))
	}
	for i := range len(ev.ID) {
		if !idByte(ev.ID[i]) {
			errs = append(errs, fmt.Errorf("id contains %q: use letters, digits and . _ : / -", ev.ID[i]))
			break
		}
	}
	if n := len(ev.Room); n == 0 || n > MaxRoom {
		errs = append(errs, fmt.Errorf("room has %d bytes: 1 to %d are allowed", n, MaxRoom))
	}
	if n := len(ev.Path); n > MaxPath {
		errs = append(errs, fmt.Errorf("path in the room has %d bytes: at most %d are allowed", n, MaxPath))
	}
	if n := len(ev.Name); n > MaxName {
		errs = append(errs, fmt.Errorf("event name has %d bytes: at most %d are allowed", n, MaxName))
	}
	if n := len(ev.From); n > MaxName {
		errs = append(errs, fmt.Errorf("publisher's key has %d bytes: at most %d are allowed", n, MaxName))
	}
	if n := len(ev.Payload); n > MaxPayload {
		errs = append(errs, fmt.Errorf("payload has %d bytes: at most %d are allowed", n, MaxPayload))
	}
	if ev.Lane >= protocol.Lanes {
		errs = append(errs, fmt.Errorf("%v is unknown: use urgent, normal or bulk", ev.Lane))
	}
	if ev.Form > Binary {
		errs = append(errs, fmt.Errorf("form %d is unknown", ev.Form))
	}
	return errors.Join(errs...)
}

func idByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '_' || c == ':' || c == '/' || c == '-'
}

// An encoded event, the same on the wire between nodes and in the logs:
//
//	byte     format: 1, or 2 if there is a path
//	byte     lane
//	byte     form
//	8 bytes  HLC, big endian
//	5 times  uvarint length and bytes: room, id, origin, name, from; in format 2 once more: path
//	rest     payload
//
// A new layout gets a new first byte. Nodes are upgraded one by one and logs live for days, so the
// decoder must go on reading every format that was ever written.
const (
	formatPlain = 1
	formatPath  = 2
	headerSize  = 11
)

// ErrMalformed is wrapped by every error of Decode.
var ErrMalformed = errors.New("malformed event")

// AppendEvent appends the encoded event to dst.
func AppendEvent(dst []byte, ev *Event) []byte {
	texts, format := []string{ev.Room, ev.ID, ev.Origin, ev.Name, ev.From, ev.Path}, byte(formatPath)
	if ev.Path == "" {
		texts, format = texts[:len(texts)-1], formatPlain
	}
	dst = append(dst, format, byte(ev.Lane), byte(ev.Form))
	dst = binary.BigEndian.AppendUint64(dst, uint64(ev.HLC))
	for _, s := range texts {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return append(dst, ev.Payload...)
}

// encodedSize is an upper bound of what AppendEvent adds.
func encodedSize(ev *Event) int {
	return headerSize + 6*2 + len(ev.Room) + len(ev.ID) + len(ev.Origin) + len(ev.Name) + len(ev.From) + len(ev.Path) + len(ev.Payload)
}

// Decode reads an encoded event. It allocates twice: the event and one string for all its texts.
func Decode(b []byte) (*Event, error) {
	if len(b) < headerSize {
		return nil, fmt.Errorf("%w: %d bytes are too few", ErrMalformed, len(b))
	}
	limits := []uint64{MaxRoom, MaxID, MaxName, MaxName, MaxName, MaxPath}
	switch b[0] {
	case formatPath:
	case formatPlain:
		limits = limits[:len(limits)-1]
	default:
		return nil, fmt.Errorf("%w: format %d is unknown; is a newer node in the cluster?", ErrMalformed, b[0])
	}
	if b[1] >= protocol.Lanes || b[2] > byte(Binary) {
		return nil, fmt.Errorf("%w: lane %d, form %d", ErrMalformed, b[1], b[2])
	}
	var at [6][2]int // begin and end of each text
	pos := headerSize
	for i, limit := range limits {
		n, size := binary.Uvarint(b[pos:])
		if size <= 0 || n > limit || uint64(len(b)-pos-size) < n {
			return nil, fmt.Errorf("%w: text %d at byte %d is cut off or too long", ErrMalformed, i, pos)
		}
		at[i][0] = pos + size - headerSize
		pos += size + int(n)
		at[i][1] = pos - headerSize
	}
	texts := string(b[headerSize:pos])
	return &Event{
		Lane:    protocol.Lane(b[1]),
		Form:    Form(b[2]),
		HLC:     HLC(binary.BigEndian.Uint64(b[3:])),
		Room:    texts[at[0][0]:at[0][1]],
		ID:      texts[at[1][0]:at[1][1]],
		Origin:  texts[at[2][0]:at[2][1]],
		Name:    texts[at[3][0]:at[3][1]],
		From:    texts[at[4][0]:at[4][1]],
		Path:    texts[at[5][0]:at[5][1]],
		Payload: b[pos:],
	}, nil
}
