package filter

import (
	"strings"
	"testing"
)

// BenchmarkMatch is what a row costs per filter.
func BenchmarkMatch(b *testing.B) {
	uuid := "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	for _, c := range []struct{ name, filter, typ, text string }{
		{"eq uuid", "c=eq." + uuid, "uuid", uuid},
		{"eq int8", "c=eq.42", "int8", "42"},
		{"range int4", "c=gte.100,c=lt.200", "int4", "150"},
		{"gt numeric", "c=gt.99.50", "numeric", "12345.678900"},
		{"lt float8", "c=lt.0.5", "float8", "0.123456789"},
		{"gte timestamptz", "c=gte.2026-06-13 12:00:00+00", "timestamptz", "2026-06-13 14:03:07.412+00"},
		{"in 100 int4", "c=in.(" + strings.Repeat("1,", 99) + "7)", "int4", "7"},
		{"eq jsonb", `c=eq."{\"a\": 1.0, \"b\": [1, 2]}"`, "jsonb", `{"a": 1, "b": [1, 2]}`},
		{"like", "c=like.%roses%", "text", "a bunch of white roses for the table"},
		{"ilike", "c=ilike.%ROSES%", "text", "a bunch of white roses for the table"},
		{"match", "c=match.^a .*(roses|lilies)", "text", "a bunch of white roses for the table"},
		{"not is null", "c=not.is.null", "text", "x"},
	} {
		b.Run(c.name, func(b *testing.B) {
			conditions, err := Parse(c.filter)
			if err != nil {
				b.Fatal(err)
			}
			p, err := Compile(conditions, func(string) (string, bool) { return c.typ, true }, same)
			if err != nil {
				b.Fatal(err)
			}
			value := func(string) (string, bool, bool) { return c.text, false, true }
			b.ReportAllocs()
			for b.Loop() {
				if !p.Match(value) {
					b.Fatal("no match")
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(`guests=gte.100,status=in.(open,"on hold"),note=not.is.null`); err != nil {
			b.Fatal(err)
		}
	}
}

// TestMatchAllocatesNothing pins what the hot path promises.
func TestMatchAllocatesNothing(t *testing.T) {
	for _, c := range []struct{ filter, typ, text string }{
		{"c=in.(1,2,3),c=lt.10", "int4", "3"}, {"c=gt.1.5", "numeric", "2.50"}, {"c=ilike.%é%", "text", "CAFÉ"}, {"c=lt.infinity", "timestamptz", "2026-06-13 14:03:07+00"},
	} {
		conditions, err := Parse(c.filter)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Compile(conditions, func(string) (string, bool) { return c.typ, true }, same)
		if err != nil {
			t.Fatal(err)
		}
		value := func(string) (string, bool, bool) { return c.text, false, true }
		if n := testing.AllocsPerRun(100, func() {
			if !p.Match(value) {
				t.Error("no match")
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.filter, n)
		}
	}
}
