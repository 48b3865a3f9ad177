package source

import (
	"context"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/server/changes/source/pgoutput"
)

// assembly makes changes of the messages of one stream: it remembers the transaction and the tables
// that they refer to.
type assembly struct {
	slot     string
	describe func(context.Context, *pgoutput.Relation, map[uint32]string) ([]Column, error)
	tables   map[uint32]*table
	types    map[uint32]string // as the stream named them

	open   bool // between Begin and Commit
	commit time.Time
	lsn    uint64 // of the commit
	xid    uint32
	record uint64 // of the last change: where its WAL record is
	row    uint32 // of the last change: how many came of that record before it
}

// table is a table as it was when the changes that follow were made.
type table struct {
	schema, name string
	identity     byte
	inIdentity   []bool // aligned with columns
	columns      []Column
}

func newAssembly(slot string, describe func(context.Context, *pgoutput.Relation, map[uint32]string) ([]Column, error)) *assembly {
	return &assembly{slot: slot, describe: describe, tables: map[uint32]*table{}, types: map[uint32]string{}}
}

// take returns the change that a message tells, or nil, and the place in the WAL that has been
// reached if the message ends a transaction, else 0. The record is where in the WAL the message comes
// from. The change shares memory with the message.
func (a *assembly) take(ctx context.Context, record uint64, m pgoutput.Message) (c *Change, end uint64, err error) {
	switch m := m.(type) {
	case *pgoutput.Begin:
		a.open, a.lsn, a.xid, a.commit, a.record = true, m.CommitLSN, m.XID, m.CommitTime, 0
	case *pgoutput.Commit:
		a.open = false
		return nil, m.EndLSN, nil
	case *pgoutput.Type:
		a.types[m.ID] = m.Name
	case *pgoutput.Relation:
		return nil, 0, a.relation(ctx, m)
	case *pgoutput.Insert:
		c, err = a.change(record, m.Relation, Insert, nil, m.New, false)
	case *pgoutput.Update:
		c, err = a.change(record, m.Relation, Update, m.Old, m.New, m.OldIsKey)
	case *pgoutput.Delete:
		c, err = a.change(record, m.Relation, Delete, m.Old, nil, m.OldIsKey)
	case *pgoutput.Truncate, *pgoutput.Origin:
		// A truncation has no rows to tell of, and where a transaction came from is nobody's concern.
	}
	return c, 0, err
}

func (a *assembly) relation(ctx context.Context, m *pgoutput.Relation) error {
	columns, err := a.describe(ctx, m, a.types)
	if err != nil {
		return err
	}
	t := &table{schema: m.Namespace, name: m.Name, identity: m.Identity, columns: columns, inIdentity: make([]bool, len(columns))}
	if t.schema == "" {
		t.schema = "pg_catalog"
	}
	for i, c := range m.Columns {
		t.inIdentity[i] = c.Identity
	}
	a.tables[m.ID] = t
	return nil
}

func (a *assembly) change(record uint64, relation uint32, kind string, before, after []Value, beforeIsKey bool) (*Change, error) {
	t := a.tables[relation]
	if t == nil || !a.open {
		return nil, fmt.Errorf("%s of table %d that the stream has not described, or outside a transaction", kind, relation)
	}
	for _, row := range [][]Value{before, after} {
		if row != nil && len(row) != len(t.columns) {
			return nil, fmt.Errorf("%s in %s.%s with %d values for %d columns", kind, t.schema, t.name, len(row), len(t.columns))
		}
	}
	switch {
	case beforeIsKey:
		t.forget(before)
	case before == nil && kind == Update:
		before = t.keyOf(after)
	case before != nil && after != nil:
		recall(after, before)
	}
	if record != a.record {
		a.record, a.row = record, 0
	} else {
		a.row++
	}
	return &Change{
		ID: changeID(a.slot, record, a.commit, a.row), LSN: a.lsn, XID: a.xid, CommitTime: a.commit,
		Schema: t.schema, Table: t.name, Type: kind,
		Columns: t.columns, New: after, Old: before, FullOld: t.identity == pgoutput.IdentityFull,
	}, nil
}

// forget marks what an old row does not tell: pgoutput says null there.
func (t *table) forget(old []Value) {
	for i := range old {
		if !t.inIdentity[i] {
			old[i] = Value{}
		}
	}
}

// keyOf is the old row of an update that left the replica identity alone: pgoutput leaves it out.
func (t *table) keyOf(row []Value) []Value {
	var old []Value
	for i := range row {
		if t.inIdentity[i] {
			if old == nil {
				old = make([]Value, len(row))
			}
			old[i] = row[i]
		}
	}
	return old
}

// recall fills in what an update left alone, if the old row is told in full.
func recall(row, old []Value) {
	for i := range row {
		if row[i].Kind == Unchanged {
			row[i] = old[i]
		}
	}
}
