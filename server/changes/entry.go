package changes

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wedsync/wedsync/protocol"
)

// Entry is one element of config.postgres_changes of a join: what its channel wants to be told.
type Entry struct {
	ID     int64  // protocol.ChangesID: what the reply to the join calls it
	Event  string // INSERT, UPDATE, DELETE or *
	Schema string // or *
	Table  string // or *
	Filter string // as it was asked for; may be empty
	Select []string
}

// wildcard stands for every event, schema or table.
const wildcard = "*"

const textNoParams = "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: "

var (
	errSelectType = errors.New("Error parsing `select` params: expected a list of column name strings, e.g. select: [\"col1\", \"col2\"]")
	errSelectAll  = errors.New("Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name.")
)

// ParseEntries reads the entries of a join. The error's text is the one for the client.
func ParseEntries(raw []json.RawMessage) ([]Entry, error) {
	entries := make([]Entry, 0, len(raw))
	for _, r := range raw {
		e, err := parseEntry(r)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func parseEntry(raw json.RawMessage) (Entry, error) {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(raw, &o); err != nil {
		return Entry{}, errors.New(textNoParams + string(raw))
	}
	e := Entry{ID: protocol.ChangesID(raw), Event: wildcard, Schema: wildcard, Table: wildcard}
	var event string
	if json.Unmarshal(o["event"], &event) == nil {
		switch event = strings.ToUpper(event); event {
		case "INSERT", "UPDATE", "DELETE":
			e.Event = event
		}
	}
	var err error
	if e.Select, err = parseSelect(o["select"]); err != nil {
		return Entry{}, err
	}
	schema, okSchema := text(o["schema"])
	table, okTable := text(o["table"])
	filter, okFilter := text(o["filter"])
	if !okSchema || !okTable || !okFilter || schema == "" && table == "" {
		return Entry{}, errors.New(textNoParams + inspect(o))
	}
	if e.Schema = schema; schema == "" {
		e.Schema = "public"
	}
	if table != "" {
		e.Table = table
	}
	e.Filter = filter
	if len(e.Select) > 0 && (e.Schema == wildcard || e.Table == wildcard) {
		return Entry{}, errSelectAll
	}
	return e, nil
}

// text reads an optional string.
func text(raw json.RawMessage) (s string, ok bool) {
	return s, len(raw) == 0 || json.Unmarshal(raw, &s) == nil
}

// parseSelect keeps the strings of a list, and takes everything else but a string for nothing, as the
// original does.
func parseSelect(raw json.RawMessage) ([]string, error) {
	var word string
	if len(raw) > 0 && string(raw) != "null" && json.Unmarshal(raw, &word) == nil {
		return nil, errSelectType
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil, nil
	}
	var columns []string
	for _, r := range list {
		if name, ok := text(r); ok && name != "" {
			columns = append(columns, name)
		}
	}
	return columns, nil
}

// inspect writes an entry the way the original's messages do.
func inspect(o map[string]json.RawMessage) string {
	var members []string
	for name, value := range o {
		s := string(value)
		if s == "null" {
			s = "nil"
		}
		members = append(members, strconv.Quote(name)+" => "+s)
	}
	slices.Sort(members)
	return "%{" + strings.Join(members, ", ") + "}"
}

// params writes the entry as refusals do: [event: INSERT, schema: public, table: *, filters: [], select: nil].
func (e *Entry) params(filters string) string {
	columns := "nil"
	if len(e.Select) > 0 {
		quoted := make([]string, len(e.Select))
		for i, name := range e.Select {
			quoted[i] = strconv.Quote(name)
		}
		columns = "[" + strings.Join(quoted, ", ") + "]"
	}
	return fmt.Sprintf("[event: %s, schema: %s, table: %s, filters: [%s], select: %s]", e.Event, e.Schema, e.Table, filters, columns)
}
