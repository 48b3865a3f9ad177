package pgoutput

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// epoch is where PostgreSQL's timestamps begin, 2000-01-01, in Unix microseconds.
const epoch = 946_684_800_000_000

// Decode reads one message. The result shares memory with data.
func Decode(data []byte) (Message, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("pgoutput message is empty")
	}
	in := input{rest: data[1:]}
	m := in.message(data[0])
	switch {
	case m == nil && in.fault == "":
		return nil, fmt.Errorf("pgoutput message of unknown kind %q", data[0])
	case in.fault != "":
		return nil, fmt.Errorf("pgoutput message %q of %d bytes: %s", data[0], len(data), in.fault)
	case len(in.rest) > 0:
		return nil, fmt.Errorf("pgoutput message %q of %d bytes: %d bytes too many", data[0], len(data), len(in.rest))
	}
	return m, nil
}

// input is what has not been read of a message. After a fault everything read is zero.
type input struct {
	rest  []byte
	fault string
}

// message reads the message of a kind, or returns nil if there is no such kind.
func (in *input) message(kind byte) Message {
	switch kind {
	case 'I':
		m := &Insert{Relation: in.uint32()}
		in.expect('N')
		m.New = in.tuple()
		return m
	case 'U':
		return in.update()
	case 'D':
		m := &Delete{Relation: in.uint32()}
		m.OldIsKey = in.oldIsKey(in.byte())
		m.Old = in.tuple()
		return m
	case 'B':
		return &Begin{CommitLSN: in.uint64(), CommitTime: in.time(), XID: in.uint32()}
	case 'C':
		in.byte() // flags, unused
		return &Commit{LSN: in.uint64(), EndLSN: in.uint64(), Time: in.time()}
	case 'O':
		return &Origin{CommitLSN: in.uint64(), Name: in.string()}
	case 'R':
		return in.relation()
	case 'Y':
		return &Type{ID: in.uint32(), Namespace: in.string(), Name: in.string()}
	case 'T':
		return in.truncate()
	}
	return nil
}

func (in *input) update() *Update {
	m := &Update{Relation: in.uint32()}
	part := in.byte()
	if part != 'N' {
		m.OldIsKey = in.oldIsKey(part)
		m.Old = in.tuple()
		part = in.byte()
	}
	if part != 'N' {
		in.fail("the new row is missing")
	}
	m.New = in.tuple()
	return m
}

func (in *input) relation() *Relation {
	m := &Relation{ID: in.uint32(), Namespace: in.string(), Name: in.string(), Identity: in.byte()}
	n := in.count(10) // flag, name's end, type, modifier
	m.Columns = make([]Column, n)
	for i := range m.Columns {
		flags := in.byte()
		m.Columns[i] = Column{Name: in.string(), Type: in.uint32(), Modifier: int32(in.uint32()), Identity: flags&1 != 0}
	}
	return m
}

func (in *input) truncate() *Truncate {
	n := in.uint32()
	options := in.byte()
	m := &Truncate{Cascade: options&1 != 0, RestartIdentity: options&2 != 0}
	if uint64(n)*4 > uint64(len(in.rest)) {
		in.fail("it ends too early")
		return m
	}
	m.Relations = make([]uint32, n)
	for i := range m.Relations {
		m.Relations[i] = in.uint32()
	}
	return m
}

// tuple reads TupleData: one row.
func (in *input) tuple() []Value {
	row := make([]Value, in.count(1))
	for i := range row {
		switch kind := in.byte(); kind {
		case 'n':
			row[i].Kind = Null
		case 'u':
			row[i].Kind = Unchanged
		case 't':
			row[i] = Value{Kind: Text, Text: in.bytes(uint64(in.uint32()))}
		default:
			in.fail(fmt.Sprintf("a value of unknown kind %q", kind))
			return nil
		}
	}
	return row
}

// oldIsKey reads the mark before an old row.
func (in *input) oldIsKey(mark byte) bool {
	if mark != 'K' && mark != 'O' {
		in.fail(fmt.Sprintf("%q where an old row should begin", mark))
	}
	return mark == 'K'
}

func (in *input) expect(mark byte) {
	if got := in.byte(); got != mark {
		in.fail(fmt.Sprintf("%q where %q should be", got, mark))
	}
}

// count reads how many elements of at least size bytes follow; never more than could.
func (in *input) count(size int) int {
	n := int(binary.BigEndian.Uint16(in.bytes(2)))
	if n*size > len(in.rest) {
		in.fail("it ends too early")
		return 0
	}
	return n
}

func (in *input) byte() byte     { return in.bytes(1)[0] }
func (in *input) uint32() uint32 { return binary.BigEndian.Uint32(in.bytes(4)) }
func (in *input) uint64() uint64 { return binary.BigEndian.Uint64(in.bytes(8)) }

func (in *input) time() time.Time { return time.UnixMicro(epoch + int64(in.uint64())).UTC() }

func (in *input) string() string {
	end := bytes.IndexByte(in.rest, 0)
	if end < 0 {
		in.fail("a text does not end")
		return ""
	}
	s := string(in.rest[:end])
	in.rest = in.rest[end+1:]
	return s
}

// zeros stand for what a faulty message does not have.
var zeros [8]byte

func (in *input) bytes(n uint64) []byte {
	if n > uint64(len(in.rest)) {
		in.fail("it ends too early")
		return zeros[:min(n, 8)]
	}
	b := in.rest[:n:n]
	in.rest = in.rest[n:]
	return b
}

// fail keeps the first fault and leaves nothing to read.
func (in *input) fail(fault string) {
	if in.fault == "" {
		in.fault = fault
	}
	in.rest = nil
}
