package changes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wedsync/wedsync/server/changes/filter"
)

// watch is an entry of a subscription that was checked against the database. It does not change.
type watch struct {
	sub    *Subscription
	bearer *bearer
	place  int    // among the entries of the channel
	id     string // decimal
	event  string
	key    key               // may have wildcards
	chosen string            // the selected columns, as selection writes them; empty: all
	eq     map[key]condition // by table: a condition that the index can look up, if there is one
	// filters by table; nil: there is no filter. A table that came later than the subscription is not in it,
	// and does not match.
	filters map[key]*filter.Predicate
}

// condition is column = text.
type condition struct{ column, text string }

// matches says whether the watch wants the change.
func (w *watch) matches(r *record) bool {
	if !w.wants(r.Type) {
		return false
	}
	if w.filters == nil {
		return true
	}
	p := w.filters[r.key()]
	return p != nil && p.Match(r.value)
}

func (w *watch) wants(event string) bool { return w.event == wildcard || w.event == event }

// selects says whether the column is among those that the subscription asked for.
func selects(chosen, column string) bool {
	return chosen == "" || strings.Contains(chosen, "\x00"+column+"\x00")
}

// selection writes selected columns such that equal sets are equal, and selects finds them.
func selection(columns []string) string {
	if len(columns) == 0 {
		return ""
	}
	columns = slices.Clone(columns)
	slices.Sort(columns)
	return "\x00" + strings.Join(slices.Compact(columns), "\x00") + "\x00"
}

// Refusal is an error of the subscription's own making: it would fail again. Its text is the client's.
type Refusal struct{ text string }

func (r *Refusal) Error() string { return r.text }

const (
	textUnpublished = "Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: %s"
	textException   = "Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: %s. Exception: %s"
	textFilter      = "Error parsing `filter` params: %s"
)

// compile checks the entries against the database.
func (s *Subscription) compile(ctx context.Context, b *bearer) ([]*watch, error) {
	if !s.feed.cfg.CaughtUp() {
		return nil, errNotReading
	}
	if err := s.setFloor(ctx); err != nil {
		return nil, err
	}
	var watches []*watch
	for i := range s.Entries {
		w, err := s.feed.compile(ctx, &s.Entries[i], b)
		if err != nil {
			return nil, err
		}
		w.sub, w.place = s, i
		watches = append(watches, w)
	}
	return watches, nil
}

// setFloor finds out, once, where the subscription begins. A region that comes back hears late of what it has
// missed, from the logs of others: whoever subscribes by then must not be told of old rows behind new ones.
func (s *Subscription) setFloor(ctx context.Context) error {
	s.mu.Lock()
	known := s.floor > 0
	s.mu.Unlock()
	if known || s.Resumes {
		return nil
	}
	p, err := s.feed.catalog.listed(ctx, time.Now())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = p.wal
	return nil
}

func (f *Feed) compile(ctx context.Context, e *Entry, b *bearer) (*watch, error) {
	conditions, err := filter.Parse(e.Filter)
	if err != nil {
		return nil, &Refusal{fmt.Sprintf(textFilter, err)}
	}
	params := e.params(inspectConditions(conditions))
	w := &watch{bearer: b, id: strconv.FormatInt(e.ID, 10), event: e.Event, key: key{e.Schema, e.Table}, chosen: selection(e.Select)}
	now := time.Now()
	keys, err := f.tablesOf(ctx, w.key, now)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, &Refusal{fmt.Sprintf(textUnpublished, params)}
	}
	if len(conditions) > 0 {
		w.filters, w.eq = map[key]*filter.Predicate{}, map[key]condition{}
	}
	for _, k := range keys {
		t, err := f.catalog.table(ctx, k, now.Add(-f.cfg.RightsAge), b.role)
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue // dropped in this moment
		}
		if err := f.check(ctx, w, t, conditions, e.Select); err != nil {
			var flaw *flaw
			if errors.As(err, &flaw) {
				return nil, &Refusal{fmt.Sprintf(textException, params, flaw)}
			}
			return nil, err
		}
		if len(conditions) == 0 && len(e.Select) == 0 {
			break // one is enough to see that the role exists
		}
	}
	return w, nil
}

// tablesOf returns the published tables that a key with wildcards stands for. What is remembered is not
// enough to say that there is none.
func (f *Feed) tablesOf(ctx context.Context, k key, now time.Time) ([]key, error) {
	for _, since := range []time.Time{now.Add(-f.cfg.RightsAge), now} {
		p, err := f.catalog.listed(ctx, since)
		if err != nil {
			return nil, err
		}
		var found []key
		for t := range p.tables {
			if k.covers(t) && t != messages {
				found = append(found, t)
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// flaw is what is wrong with an entry, in the words of the database.
type flaw struct{ code, name, message string }

func (f *flaw) Error() string { return fmt.Sprintf("ERROR %s (%s) %s", f.code, f.name, f.message) }

func raised(format string, args ...any) *flaw {
	return &flaw{"P0001", "raise_exception", fmt.Sprintf(format, args...)}
}

// check holds an entry against one of its tables.
func (f *Feed) check(ctx context.Context, w *watch, t *table, conditions []filter.Condition, selected []string) error {
	a := t.roles[w.bearer.role]
	if a == nil {
		return &flaw{"42704", "undefined_object", fmt.Sprintf("role %q does not exist", w.bearer.role)}
	}
	for _, c := range conditions {
		if !a.readable[c.Column] {
			return raised("invalid column for filter %s", c.Column)
		}
	}
	for _, name := range selected {
		if !a.readable[name] {
			return raised("invalid column for select %s", name)
		}
	}
	if len(conditions) == 0 {
		return nil
	}
	var asking error // the database did not answer
	var c *column    // whose condition is being compiled
	p, err := filter.Compile(conditions, func(name string) (string, bool) {
		if c = t.column(name); c == nil {
			return "", false
		}
		return c.base, true
	}, func(_, literal string) (string, error) {
		text, err := f.canonical(ctx, c, literal)
		if err != nil && passing(err) {
			asking = err
		}
		return text, err
	})
	if asking != nil {
		return fmt.Errorf("checking a filter: %w", asking)
	}
	if err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) {
			return &flaw{pg.Code, "invalid_text_representation", pg.Message}
		}
		return raised("%v", err)
	}
	w.filters[t.key] = p
	if eq, ok := f.lookup(ctx, t, conditions); ok {
		w.eq[t.key] = eq
	}
	return nil
}

// canonical asks the database how it prints a literal of a column's type.
func (f *Feed) canonical(ctx context.Context, c *column, literal string) (text string, err error) {
	err = f.db.do(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select $1::text::"+c.sql+"::text", literal).Scan(&text)
	})
	return text, err
}

// lookup finds a condition that the index can look up: equality of a type whose values are equal exactly if
// their texts are.
func (f *Feed) lookup(ctx context.Context, t *table, conditions []filter.Condition) (condition, bool) {
	for _, c := range conditions {
		if c.Not || c.Operator != filter.Eq {
			continue
		}
		switch column := t.column(c.Column); column.base {
		case "text", "varchar":
			return condition{c.Column, c.Value}, true
		case "int2", "int4", "int8", "uuid":
			if text, err := f.canonical(ctx, column, c.Value); err == nil {
				return condition{c.Column, text}, true
			}
		}
	}
	return condition{}, false
}

// inspectConditions writes them as the original's refusals do.
func inspectConditions(conditions []filter.Condition) string {
	parts := make([]string, len(conditions))
	for i, c := range conditions {
		value := c.Value
		if c.Operator == filter.In {
			value = "{" + strings.Join(c.Values, ",") + "}"
		}
		parts[i] = fmt.Sprintf("{%q, %q, %q, %t}", c.Column, string(c.Operator), value, c.Not)
	}
	return strings.Join(parts, ", ")
}
