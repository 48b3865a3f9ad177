package changes

import (
	"slices"
	"strconv"

	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes/value"
)

// The errors of a change, in the original's words.
const (
	errorNoPrimary    = "Error 400: Bad Request, no primary key"
	errorUnauthorized = "Error 401: Unauthorized"
	errorTooLarge     = "Error 413: Payload Too Large"
)

// view is a change as those see it who may read, and asked for, the same columns. It is written once.
type view struct {
	data []byte            // the value of "data"
	tail []byte            // from the end of data to the end of the payload
	made map[string][]byte // whole payloads by ids
}

// payload returns the message for the entries with these ids ("1" or "1,2").
func (v *view) payload(ids string) []byte {
	if p := v.made[ids]; p != nil {
		return p
	}
	p := make([]byte, 0, len(`{"ids":[],"data":`)+len(ids)+len(v.data)+len(v.tail))
	p = append(append(append(p, `{"ids":[`...), ids...), `],"data":`...)
	p = append(append(p, v.data...), v.tail...)
	v.made[ids] = p
	return p
}

// newView writes a change for a role and a selection.
func newView(r *record, t *table, a *access, chosen string, ev *backbone.Event) *view {
	v := &view{made: map[string][]byte{}}
	v.tail = append(appendQuoted([]byte(`,"meta":{"id":`), ev.ID), `,"hlc":"`...)
	v.tail = append(strconv.AppendUint(v.tail, uint64(ev.HLC), 10), '"')
	if ev.Replayed {
		v.tail = append(v.tail, `,"replayed":true`...)
	}
	v.tail = append(v.tail, "}}"...)
	if wrong := failure(r, a); wrong != "" {
		v.data = appendFailure(nil, r, wrong)
		return v
	}
	w := viewer{record: r, table: t, seen: make([]bool, len(r.Columns))}
	for i := range r.Columns {
		name := r.Columns[i].Name
		c := t.column(name)
		w.seen[i] = c != nil && a.readable[name] && (c.primary || selects(chosen, name))
	}
	v.data = w.appendData(nil)
	return v
}

// failure says why a role is told nothing of a change but that it happened.
func failure(r *record, a *access) string {
	switch {
	case r.Type == "DELETE":
		return ""
	case a.noPrimary:
		return errorNoPrimary
	case a.noKey:
		return errorUnauthorized
	}
	return ""
}

func appendFailure(dst []byte, r *record, wrong string) []byte {
	dst = appendHead(dst, r)
	dst = append(dst, `,"commit_timestamp":null,"columns":[],"record":{}`...)
	if r.Type == "UPDATE" {
		dst = append(dst, `,"old_record":{}`...)
	}
	return append(appendQuoted(append(dst, `,"errors":[`...), wrong), "]}"...)
}

func appendHead(dst []byte, r *record) []byte {
	dst = appendQuoted(append(dst, `{"schema":`...), r.Schema)
	dst = appendQuoted(append(dst, `,"table":`...), r.Table)
	return appendQuoted(append(dst, `,"type":`...), r.Type)
}

// viewer writes a change with the columns that are seen.
type viewer struct {
	*record
	table *table
	seen  []bool // by column
}

func (w *viewer) appendData(dst []byte) []byte {
	dst = appendHead(dst, w.record)
	dst = append(dst, `,"commit_timestamp":"`...)
	dst = w.commit.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	dst = w.appendColumns(append(dst, `","columns":`...))
	if w.Type != "DELETE" {
		dst = w.appendRow(append(dst, `,"record":`...), w.New, nil)
	}
	switch {
	case w.Type == "UPDATE" && w.Old == nil:
		// The identity has not changed, so that the database does not repeat it.
		dst = w.appendRow(append(dst, `,"old_record":`...), w.New, func(c *column) bool { return c.identity })
	case w.Type == "UPDATE":
		dst = w.appendRow(append(dst, `,"old_record":`...), w.Old, nil)
	case w.Type == "DELETE" && w.table.rls:
		// The row is gone, so that nobody can be asked who may see it.
		dst = w.appendRow(append(dst, `,"old_record":`...), w.Old, func(c *column) bool { return c.primary })
	case w.Type == "DELETE":
		dst = w.appendRow(append(dst, `,"old_record":`...), w.Old, nil)
	}
	if w.Cut {
		return append(dst, `,"errors":["`+errorTooLarge+`"]}`...)
	}
	return append(dst, `,"errors":null}`...)
}

func (w *viewer) appendColumns(dst []byte) []byte {
	dst = append(dst, '[')
	first := true
	for i := range w.Columns {
		if !w.seen[i] {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendQuoted(append(dst, `{"name":`...), w.Columns[i].Name)
		dst = append(appendQuoted(append(dst, `,"type":`...), w.Columns[i].Type), '}')
	}
	return append(dst, ']')
}

// appendRow writes the values that the change tells of a row, of the seen columns that pass, if there is such
// a condition.
func (w *viewer) appendRow(dst []byte, t *tuple, passes func(*column) bool) []byte {
	dst = append(dst, '{')
	first := true
	for i := range w.Columns {
		f := &w.Columns[i]
		kind := t.Kinds[i]
		if !w.seen[i] || kind != kindText && kind != kindNull || passes != nil && !passes(w.table.column(f.Name)) {
			continue
		}
		before := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, f.Name), ':')
		if kind == kindNull {
			dst = append(dst, "null"...)
		} else {
			at := len(dst)
			dst = value.Append(dst, f.base(), []byte(t.Texts[t.at[i]]))
			if w.Cut && !value.Fits(dst[at:]) {
				dst = dst[:before]
				continue
			}
		}
		first = false
	}
	return append(dst, '}')
}

// appendQuoted appends a JSON string.
func appendQuoted(dst []byte, s string) []byte { return value.Append(dst, "text", []byte(s)) }

// idsOf writes the ids of entries in the order of the channel's entries; an id is told once.
func idsOf(hits []*watch) string {
	if len(hits) == 1 {
		return hits[0].id
	}
	slices.SortFunc(hits, func(a, b *watch) int { return a.place - b.place })
	var ids []byte
	for i, w := range hits {
		if slices.ContainsFunc(hits[:i], func(before *watch) bool { return before.id == w.id }) {
			continue
		}
		if i > 0 {
			ids = append(ids, ',')
		}
		ids = append(ids, w.id...)
	}
	return string(ids)
}
