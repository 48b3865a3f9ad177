// Package pgoutput decodes what PostgreSQL's own output plugin says about a database: which rows were
// inserted, updated and deleted, transaction by transaction.
//
// The bytes are those of the PostgreSQL documentation, section "Logical Replication Message Formats",
// in protocol version 1: a transaction comes whole, after its commit, so that a rolled-back row is never
// seen and no half transaction has to be kept here. A transaction is
//
//	Begin, { Origin | Type | Relation | Insert | Update | Delete | Truncate }, Commit
//
// and a Relation comes before the first change of its table, and again when the table has changed.
//
// Decode keeps no state and copies nothing: what it returns shares memory with the message.
package pgoutput

import "time"

// Message is one of the pointer types below.
type Message interface{ message() }

// Begin opens a transaction.
type Begin struct {
	CommitLSN  uint64 // where the commit record is: transactions come in this order
	CommitTime time.Time
	XID        uint32
}

// Commit closes it.
type Commit struct {
	LSN    uint64 // as in Begin
	EndLSN uint64 // the first byte after the commit record: confirm this to have the next transaction
	Time   time.Time
}

// Origin says that the transaction was itself replicated from elsewhere.
type Origin struct {
	CommitLSN uint64 // on the origin
	Name      string
}

// The replica identities: what of an old row an UPDATE or DELETE tells (pg_class.relreplident).
const (
	IdentityDefault = 'd' // the primary key
	IdentityNothing = 'n' // nothing; PostgreSQL refuses UPDATE and DELETE of a published table then
	IdentityFull    = 'f' // the whole row
	IdentityIndex   = 'i' // the columns of a chosen unique index
)

// Relation describes a table as it was when the following changes were made.
type Relation struct {
	ID        uint32 // pg_class.oid
	Namespace string // "" stands for pg_catalog
	Name      string
	Identity  byte
	Columns   []Column
}

// Column of a Relation. Generated columns are not told.
type Column struct {
	Name     string
	Type     uint32 // pg_type.oid
	Modifier int32  // pg_attribute.atttypmod
	Identity bool   // part of the replica identity
}

// Type names a data type that is not built in; of a domain, the type under it.
type Type struct {
	ID        uint32
	Namespace string // "" stands for pg_catalog
	Name      string
}

// Insert of a row.
type Insert struct {
	Relation uint32
	New      []Value
}

// Update of a row. Old is nil unless the replica identity is full or one of its columns has changed;
// OldIsKey tells that only the identity's columns of it are known, the others being Null here.
type Update struct {
	Relation uint32
	Old, New []Value
	OldIsKey bool
}

// Delete of a row; OldIsKey as in Update.
type Delete struct {
	Relation uint32
	Old      []Value
	OldIsKey bool
}

// Truncate of some tables.
type Truncate struct {
	Relations       []uint32
	Cascade         bool
	RestartIdentity bool
}

func (*Begin) message()    {}
func (*Commit) message()   {}
func (*Origin) message()   {}
func (*Relation) message() {}
func (*Type) message()     {}
func (*Insert) message()   {}
func (*Update) message()   {}
func (*Delete) message()   {}
func (*Truncate) message() {}

// Kind tells what is known of a Value.
type Kind uint8

// The kinds. The zero value is Missing.
const (
	Missing   Kind = iota // not told: an old value outside the replica identity
	Null                  // SQL NULL
	Text                  // Value.Text, as PostgreSQL prints it
	Unchanged             // a large (TOASTed) value that the update left alone, and therefore not told
)

// Value of one column in one row.
type Value struct {
	Text []byte // of kind Text only
	Kind Kind
}
