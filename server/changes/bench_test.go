package changes

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes/source"
)

// benchWorker is a worker whose database is a table that is known for good, with n subscribers.
func benchWorker(b testing.TB, n int, entry func(i int) Entry) (*worker, *int) {
	b.Helper()
	cfg := Config{}.withDefaults()
	f := &Feed{cfg: cfg, index: newIndex(), bearers: newBearers()}
	var err error
	if f.m, err = newMetrics(prometheus.NewRegistry(), func() float64 { return 0 }); err != nil {
		b.Fatal(err)
	}
	f.catalog = newCatalog(nil, &f.cfg, f.recheck)
	t := &table{key: key{"public", "guests"}, loaded: time.Now().Add(time.Hour), roles: map[string]*access{}, columns: []column{
		{name: "id", typ: "int8", base: "int8", sql: "pg_catalog.int8", primary: true, identity: true},
		{name: "wedding", typ: "text", base: "text", sql: "pg_catalog.text"},
		{name: "name", typ: "text", base: "text", sql: "pg_catalog.text"}, {name: "seats", typ: "int4", base: "int4", sql: "pg_catalog.int4"},
	}}
	t.roles["authenticated"] = t.access("authenticated", false, []string{"id", "wedding", "name", "seats"})
	f.catalog.tables[t.key] = t
	f.catalog.published = &published{tables: map[key]bool{t.key: true}, loaded: t.loaded}
	delivered := 0
	for i := range n {
		s := &Subscription{feed: f, Subscriber: Subscriber{Deliver: func([]byte, *backbone.Event) { delivered++ }}}
		e := entry(i)
		bearer := f.bearers.hold(claims("authenticated", fmt.Sprint("user", i)))
		w, err := f.compile(b.Context(), &e, bearer)
		if err != nil {
			b.Fatal(err)
		}
		w.sub = s
		f.index.replace(nil, []*watch{w})
	}
	return newWorker(f), &delivered
}

func benchEvent(b testing.TB) *backbone.Event {
	text := func(s string) source.Value { return source.Value{Kind: source.Text, Text: []byte(s)} }
	ev, err := newEvent(&source.Change{ID: "pg/wedsync/1/0", CommitTime: time.Now(), Schema: "public", Table: "guests", Type: source.Insert,
		Columns: []source.Column{{Name: "id", Type: "int8", Base: "int8", Key: true}, {Name: "wedding", Type: "text", Base: "text"},
			{Name: "name", Type: "text", Base: "text"}, {Name: "seats", Type: "int4", Base: "int4"}},
		New: []source.Value{text("12"), text("wedding 7"), text("Ada"), text("4")}})
	if err != nil {
		b.Fatal(err)
	}
	return ev
}

// BenchmarkChange is the cost of one change on one node with 1,000 subscribers of its table.
func BenchmarkChange(b *testing.B) {
	const subscribers = 1000
	entry := func(filter func(i int) string) func(int) Entry {
		return func(i int) Entry {
			return Entry{ID: 1, Event: wildcard, Schema: "public", Table: "guests", Filter: filter(i)}
		}
	}
	for name, filter := range map[string]func(int) string{
		"none_subscribed":          nil,
		"equality_100_match":       func(i int) string { return fmt.Sprintf("wedding=eq.wedding %d", i%10) },
		"equality_1_matches":       func(i int) string { return fmt.Sprintf("wedding=eq.wedding %d", i) },
		"other_filter_1_matches":   func(i int) string { return fmt.Sprintf("wedding=like.wedding %d", i) },
		"two_conditions_1_matches": func(i int) string { return fmt.Sprintf("name=like.A%%,wedding=eq.wedding %d", i) },
		"no_filter_1000_match":     func(int) string { return "" },
	} {
		b.Run(name, func(b *testing.B) {
			n := subscribers
			if filter == nil {
				n = 0
			}
			w, delivered := benchWorker(b, n, entry(filter))
			ev := benchEvent(b)
			b.ReportAllocs()
			for b.Loop() {
				w.handle(context.Background(), ev)
			}
			b.ReportMetric(float64(*delivered)/float64(b.N), "deliveries/op")
		})
	}
}
