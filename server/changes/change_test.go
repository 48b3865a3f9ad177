package changes

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/server/changes/source"
)

// What is encoded on one node says the same on another.
func TestChangeSurvivesTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &source.Change{LSN: rapid.Uint64().Draw(t, "lsn"), CommitTime: time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "commit")),
			Schema: rapid.String().Draw(t, "schema"), Table: rapid.String().Draw(t, "table"),
			Type: rapid.SampledFrom([]string{source.Insert, source.Update, source.Delete}).Draw(t, "type"), FullOld: rapid.Bool().Draw(t, "full")}
		for range rapid.IntRange(1, 8).Draw(t, "columns") {
			typ := rapid.StringMatching(`[a-z0-9_]{1,9}`).Draw(t, "type")
			c.Columns = append(c.Columns, source.Column{Name: rapid.String().Draw(t, "name"), Type: typ, Base: rapid.SampledFrom([]string{typ, "text"}).Draw(t, "base")})
		}
		row := func(label string) (values []source.Value) {
			for range c.Columns {
				v := source.Value{Kind: rapid.SampledFrom([]source.ValueKind{source.Null, source.Text, source.Unchanged, source.Missing}).Draw(t, label)}
				if v.Kind == source.Text {
					v.Text = []byte(rapid.String().Draw(t, "text"))
				}
				values = append(values, v)
			}
			return values
		}
		if c.Type != source.Delete {
			c.New = row("new")
		}
		if c.Type != source.Insert {
			c.Old = row("old")
		}
		b, err := encode(c)
		if err != nil {
			t.Fatal(err)
		}
		r, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if r.Schema != c.Schema || r.Table != c.Table || r.Type != c.Type || !r.commit.Equal(c.CommitTime) || r.FullOld != c.FullOld || r.Cut || r.LSN != c.LSN {
			t.Fatalf("%+v became %+v", c, r)
		}
		for _, pair := range []struct {
			values []source.Value
			tuple  *tuple
		}{{c.New, r.New}, {c.Old, r.Old}} {
			if (pair.values == nil) != (pair.tuple == nil) {
				t.Fatalf("%v became %v", pair.values, pair.tuple)
			}
			for i, v := range pair.values {
				kind := map[source.ValueKind]byte{source.Null: kindNull, source.Text: kindText, source.Unchanged: kindUnchanged, source.Missing: kindMissing}[v.Kind]
				if got := pair.tuple.Kinds[i]; got != kind {
					t.Fatalf("kind %c became %c", kind, got)
				}
				if v.Kind == source.Text && pair.tuple.Texts[pair.tuple.at[i]] != string(v.Text) {
					t.Fatalf("%q became %q", v.Text, pair.tuple.Texts[pair.tuple.at[i]])
				}
			}
		}
		for i := range c.Columns {
			if f := &r.Columns[i]; f.Name != c.Columns[i].Name || f.Type != c.Columns[i].Type || f.base() != c.Columns[i].Base {
				t.Fatalf("%+v became %+v", c.Columns[i], f)
			}
		}
	})
}

// A row of any size fits into an event.
func TestHugeChangeIsCut(t *testing.T) {
	for name, columns := range map[string]struct{ n, size int }{"one value": {1, 64 << 20}, "many values": {1600, 2000}, "one that grows": {1, 1 << 19}} {
		c := &source.Change{ID: "pg/x/1/0", Type: source.Update, Schema: "public", Table: "t"}
		for range columns.n {
			c.Columns = append(c.Columns, source.Column{Name: "c", Type: "text", Base: "text"})
			v := source.Value{Kind: source.Text, Text: make([]byte, columns.size)}
			for i := range v.Text {
				v.Text[i] = 1 // six bytes of JSON
			}
			c.New, c.Old = append(c.New, v), append(c.Old, v)
		}
		ev, err := newEvent(c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r, err := decode(ev.Payload); err != nil || !r.Cut {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// FuzzDecode: another node's word is not trusted blindly.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"schema":"public","table":"t","type":"INSERT","commit_us":1,"lsn":1,"columns":[{"n":"id","t":"int4"},{"n":"x","t":"text","b":"text"}],"new":{"kinds":"tn","texts":["1"]}}`))
	f.Add([]byte(`{"type":"DELETE","columns":[{"n":"id"}],"old":{"kinds":"t","texts":["1"]}}`))
	f.Add([]byte(`{"columns":null,"new":{"kinds":"ttt","texts":[]}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := decode(payload)
		if err != nil {
			return
		}
		tab := &table{key: r.key(), roles: map[string]*access{}}
		var names []string
		for i := range r.Columns {
			tab.columns = append(tab.columns, column{name: r.Columns[i].Name, primary: i == 0, identity: true})
			names = append(names, r.Columns[i].Name)
			r.value(r.Columns[i].Name)
		}
		a := tab.access("anon", false, names)
		ev, err := newEvent(&source.Change{ID: "pg/x/1/0"})
		if err != nil {
			t.Fatal(err)
		}
		newView(r, tab, a, "", ev).payload("1")
	})
}
