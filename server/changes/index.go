package changes

import (
	"slices"
	"sync"
)

// index finds the watches that may want a change. Those with an equality filter are found by the value, so
// that a change of one wedding costs nothing for the subscribers of all others.
type index struct {
	mu     sync.RWMutex // guards the following
	tables map[key]*shelf
}

// shelf holds the watches of one table, or of a wildcard.
type shelf struct {
	all   map[*watch]struct{}
	roles map[string]int // of all, with their number
	// scanned have no equality filter; lookups hold the others, by table as a wildcard stands for several.
	scanned map[*watch]struct{}
	lookups map[key]map[string]map[string]map[*watch]struct{} // table, column, text
}

func newIndex() *index { return &index{tables: map[key]*shelf{}} }

// replace takes watches out and puts others in, in one step.
func (x *index) replace(old, new []*watch) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, w := range old {
		s := x.tables[w.key]
		s.remove(w)
		if len(s.all) == 0 {
			delete(x.tables, w.key)
		}
	}
	for _, w := range new {
		s := x.tables[w.key]
		if s == nil {
			s = &shelf{all: map[*watch]struct{}{}, roles: map[string]int{}, scanned: map[*watch]struct{}{}, lookups: map[key]map[string]map[string]map[*watch]struct{}{}}
			x.tables[w.key] = s
		}
		s.add(w)
	}
}

func (s *shelf) add(w *watch) {
	s.all[w] = struct{}{}
	s.roles[w.bearer.role]++
	if !w.looksUp() {
		s.scanned[w] = struct{}{}
		return
	}
	for k, eq := range w.eq {
		columns := s.lookups[k]
		if columns == nil {
			columns = map[string]map[string]map[*watch]struct{}{}
			s.lookups[k] = columns
		}
		texts := columns[eq.column]
		if texts == nil {
			texts = map[string]map[*watch]struct{}{}
			columns[eq.column] = texts
		}
		watches := texts[eq.text]
		if watches == nil {
			watches = map[*watch]struct{}{}
			texts[eq.text] = watches
		}
		watches[w] = struct{}{}
	}
}

// looksUp says whether all of a watch's tables have a condition for the index.
func (w *watch) looksUp() bool { return len(w.eq) > 0 && len(w.eq) == len(w.filters) }

func (s *shelf) remove(w *watch) {
	delete(s.all, w)
	if s.roles[w.bearer.role]--; s.roles[w.bearer.role] == 0 {
		delete(s.roles, w.bearer.role)
	}
	delete(s.scanned, w)
	if !w.looksUp() {
		return
	}
	for k, eq := range w.eq {
		columns := s.lookups[k]
		texts := columns[eq.column]
		delete(texts[eq.text], w)
		if len(texts[eq.text]) == 0 {
			delete(texts, eq.text)
		}
		if len(texts) == 0 {
			delete(columns, eq.column)
		}
		if len(columns) == 0 {
			delete(s.lookups, k)
		}
	}
}

// each calls f with every shelf that a change concerns. mu is held.
func (x *index) each(k key, f func(*shelf)) {
	for _, at := range [4]key{k, {k.schema, wildcard}, {wildcard, k.table}, {wildcard, wildcard}} {
		if s := x.tables[at]; s != nil {
			f(s)
		}
	}
}

// empty says whether nobody watches anything.
func (x *index) empty() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.tables) == 0
}

// match appends the watches that want the change, and the roles of all who watch its table.
func (x *index) match(hits []*watch, roles []string, r *record) ([]*watch, []string) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.each(r.key(), func(s *shelf) {
		for role := range s.roles {
			if !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
		for w := range s.scanned {
			if w.matches(r) {
				hits = append(hits, w)
			}
		}
		for column, texts := range s.lookups[r.key()] {
			text, null, ok := r.value(column)
			if null || !ok {
				continue
			}
			for w := range texts[text] {
				if w.matches(r) {
					hits = append(hits, w)
				}
			}
		}
	})
	return hits, roles
}

// unfiltered appends the watches of a role that want changes of the type but would not match.
func (x *index) unfiltered(hits []*watch, r *record, role string) []*watch {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.each(r.key(), func(s *shelf) {
		for w := range s.all {
			if w.bearer.role == role && w.wants(r.Type) && !w.matches(r) {
				hits = append(hits, w)
			}
		}
	})
	return hits
}

// subscriptions returns those with a watch, of one table if it is named.
func (x *index) subscriptions(of *key) []*Subscription {
	x.mu.RLock()
	defer x.mu.RUnlock()
	seen := map[*Subscription]bool{}
	var all []*Subscription
	add := func(s *shelf) {
		for w := range s.all {
			if !seen[w.sub] {
				seen[w.sub] = true
				all = append(all, w.sub)
			}
		}
	}
	if of != nil {
		x.each(*of, add)
		return all
	}
	for _, s := range x.tables {
		add(s)
	}
	return all
}
