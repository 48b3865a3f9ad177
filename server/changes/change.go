package changes

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes/source"
)

// A change as it travels through the log: JSON, so that an operator can read it there and a later version can
// add keys.
type record struct {
	Schema  string  `json:"schema"`
	Table   string  `json:"table"`
	Type    string  `json:"type"`
	Commit  int64   `json:"commit_us"` // Unix time
	LSN     uint64  `json:"lsn"`
	XID     uint32  `json:"xid"`
	Columns []field `json:"columns"`
	New     *tuple  `json:"new,omitempty"`
	Old     *tuple  `json:"old,omitempty"`
	FullOld bool    `json:"full_old,omitempty"`
	Cut     bool    `json:"cut,omitempty"` // more than maxChange bytes: large values are left out

	commit time.Time
}

type field struct {
	Name string `json:"n"`
	Type string `json:"t"`
	Base string `json:"b,omitempty"` // what the values are underneath, if that is not the type (source.Column)
}

// base is what the values are underneath.
func (f *field) base() string {
	if f.Base != "" {
		return f.Base
	}
	return f.Type
}

// tuple is a row: a letter per column, and the texts of those that have one.
type tuple struct {
	Kinds string   `json:"kinds"`
	Texts []string `json:"texts"`

	at []int // index in Texts by column, or -1
}

// The letters of a tuple.
const (
	kindNull      = 'n'
	kindText      = 't'
	kindUnchanged = 'u' // a large value that was not touched, of a table whose replica identity is not full: nobody knows it
	kindMissing   = 'm' // outside the replica identity
)

const (
	// maxChange is the size beyond which a change is told with its small values only.
	maxChange = 1 << 20
	// maxKept is the size of the values that are told then.
	maxKept = 64
	// maxKeyed is what a value of a change that is too large may have to be sent to the other nodes: more
	// than a key can have (PostgreSQL's indexes take 2,704 bytes), so that keys and most filters still work.
	maxKeyed = 2704
)

// encode returns the change for the log: whole, or without the large values if it is too large.
func encode(c *source.Change) ([]byte, error) {
	r := &record{Schema: c.Schema, Table: c.Table, Type: c.Type, Commit: c.CommitTime.UnixMicro(), LSN: c.LSN, XID: c.XID, FullOld: c.FullOld}
	for _, column := range c.Columns {
		f := field{Name: column.Name, Type: column.Type}
		if column.Base != column.Type {
			f.Base = column.Base
		}
		r.Columns = append(r.Columns, f)
	}
	var b []byte
	for _, limit := range []int{maxChange, maxKeyed, maxKept} {
		if r.Cut = limit < maxChange; !r.Cut && sizeOf(c.New)+sizeOf(c.Old) > maxChange {
			continue
		}
		r.New, r.Old = packed(c.New, limit), packed(c.Old, limit)
		var err error
		if b, err = json.Marshal(r); err != nil {
			return nil, fmt.Errorf("encoding a change of %s.%s: %w", c.Schema, c.Table, err)
		}
		if len(b) <= backbone.MaxPayload {
			break
		}
	}
	return b, nil
}

func sizeOf(values []source.Value) int {
	n := 0
	for _, v := range values {
		n += len(v.Text)
	}
	return n
}

func packed(values []source.Value, limit int) *tuple {
	if values == nil {
		return nil
	}
	t := &tuple{Texts: []string{}}
	kinds := make([]byte, len(values))
	for i, v := range values {
		switch {
		case v.Kind == source.Null:
			kinds[i] = kindNull
		case v.Kind == source.Unchanged:
			kinds[i] = kindUnchanged
		case v.Kind == source.Text && len(v.Text) <= limit:
			kinds[i] = kindText
			t.Texts = append(t.Texts, string(v.Text))
		default:
			kinds[i] = kindMissing
		}
	}
	t.Kinds = string(kinds)
	return t
}

// decode reads what encode wrote.
func decode(payload []byte) (*record, error) {
	r := &record{}
	if err := json.Unmarshal(payload, r); err != nil {
		return nil, fmt.Errorf("reading a change from the log: %w", err)
	}
	r.commit = time.UnixMicro(r.Commit).UTC()
	for _, t := range []*tuple{r.New, r.Old} {
		if t == nil {
			continue
		}
		if len(t.Kinds) != len(r.Columns) {
			return nil, fmt.Errorf("reading a change from the log: %d values for %d columns", len(t.Kinds), len(r.Columns))
		}
		t.at = make([]int, len(t.Kinds))
		n := 0
		for i := range t.Kinds {
			t.at[i] = -1
			if t.Kinds[i] == kindText {
				t.at[i] = n
				n++
			}
		}
		if n != len(t.Texts) {
			return nil, fmt.Errorf("reading a change from the log: %d texts, %d expected", len(t.Texts), n)
		}
	}
	if r.New == nil && r.Type != "DELETE" || r.Old == nil && r.Type == "DELETE" {
		return nil, fmt.Errorf("reading a change from the log: %s of %s.%s without its row", r.Type, r.Schema, r.Table)
	}
	return r, nil
}

func (r *record) key() key { return key{r.Schema, r.Table} }

// column returns the place of a column, or -1.
func (r *record) column(name string) int {
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// judged is the row that filters look at.
func (r *record) judged() *tuple {
	if r.Type == "DELETE" {
		return r.Old
	}
	return r.New
}

// value is what filters ask for; !ok: the change does not say.
func (r *record) value(name string) (text string, null, ok bool) {
	i := r.column(name)
	if i < 0 {
		return "", false, false
	}
	t := r.judged()
	switch t.Kinds[i] {
	case kindText:
		return t.Texts[t.at[i]], false, true
	case kindNull:
		return "", true, true
	}
	return "", false, false
}
