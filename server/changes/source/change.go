package source

import (
	"fmt"
	"strconv"
	"time"

	"github.com/wedsync/wedsync/server/changes/source/pgoutput"
)

// The types of a change.
const (
	Insert = "INSERT"
	Update = "UPDATE"
	Delete = "DELETE"
)

// Value is what is known of one column of a row; Text is as PostgreSQL prints the value: dates in ISO
// style, times with zone in UTC, bytea in hex, floats in as many digits as they need, all in UTF-8.
type Value = pgoutput.Value

// ValueKind tells what is known of a Value.
type ValueKind = pgoutput.Kind

// The kinds of values. The zero value is Missing.
const (
	Missing   = pgoutput.Missing   // not told: outside the replica identity
	Null      = pgoutput.Null      // SQL NULL
	Text      = pgoutput.Text      // Value.Text
	Unchanged = pgoutput.Unchanged // a TOASTed value that the update left alone: not told
)

// Column of a changed row. Generated columns do not appear.
type Column struct {
	Name string
	OID  uint32 // of the type
	Type string // its name in pg_type: int4, text, timestamptz, _int4
	// Base is what the values are underneath: for a domain the type that it constrains, for an enum
	// "anyenum", else Type.
	Base string
	// Key: part of the primary key.
	Key bool
}

// Change is one row that was inserted, updated or deleted by a committed transaction. It must not be
// changed: Columns is shared by all changes of the table.
type Change struct {
	// ID is unique, and the same whoever reads the change and however often:
	//
	//	pg/SLOT/LSN-TIME/N
	//
	// at most 64 bytes of [A-Za-z0-9._:/-]. LSN, in hex, is where in the WAL the change itself is (not its
	// commit), so that it does not matter which changes beside it are published. TIME is that of the
	// commit, in microseconds and base 36: a database that was restored from a backup, or set up
	// anew, uses its LSNs again. N counts the rows of one WAL record, of which COPY makes several.
	ID         string
	LSN        uint64 // of the commit: changes come in this order
	CommitTime time.Time
	XID        uint32 // of the transaction. Its changes are read a moment before others can see them in the database.
	Schema     string
	Table      string
	Type       string // INSERT, UPDATE, DELETE
	Columns    []Column
	// New is the row after an INSERT or UPDATE, aligned with Columns, else nil.
	New []Value
	// Old is the row before an UPDATE or DELETE as far as the replica identity tells, else nil.
	Old     []Value
	FullOld bool // the replica identity is full: Old is the whole row
}

// maxSlot keeps the longest possible ID within 64 bytes.
const maxSlot = 22

// changeID names row n of the WAL record at lsn, which was committed at the time.
func changeID(slot string, lsn uint64, commit time.Time, n uint32) string {
	return fmt.Sprintf("pg/%s/%x-%s/%d", slot, lsn, strconv.FormatInt(commit.UnixMicro(), 36), n)
}
