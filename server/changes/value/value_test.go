package value

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppend(t *testing.T) {
	for _, c := range []struct{ typ, text, want string }{
		{"bool", "t", "true"},
		{"bool", "maybe", `"maybe"`}, // no text of PostgreSQL's: a string, never broken JSON
		{"numeric", "1.50", "1.50"},
		{"numeric", "NaN", `"NaN"`},
		{"float8", "1e+100", "1e+100"},
		{"float8", "-0", "0"},
		{"int4", "007", `"007"`},
		{"int4", "1.", `"1."`},
		{"int4", "", `""`},
		{"int4", "-", `"-"`},
		{"float8", "1e", `"1e"`},
		{"json", "{ \"a\" : 1.0 }", "{ \"a\" : 1.0 }"},
		{"json", "{", `"{"`},
		{"json", "\"\xff\"", "\"\ufffd\""},
		{"text", "\xff\x00", `"` + "\ufffd" + `\u0000"`},
		{"timestamptz", "2026-06-13 14:03:07.412+00", `"2026-06-13T14:03:07.412+00:00"`},
		{"timestamptz", "2026-06-13 14:03:07+05:30", `"2026-06-13T14:03:07+05:30"`},
		{"timestamp", "0044-03-15 12:00:00 BC", `"0044-03-15T12:00:00 BC"`},
		{"_int4", "{1,NULL}", "[1,null]"},
		{"_int4", "[2:3]={1,2}", "[1,2]"},
		{"_int4", "[a]={1}", `"[a]={1}"`},
		{"_int4", "{1,{2}", `"{1,{2}"`},
		{"_int4", "{1}x", `"{1}x"`},
		{"_int4", "{1,}", `"{1,}"`},
		{"_int4", `{"1`, `"{\"1"`},
		{"_text", `{"a\\"}`, `["a\\"]`},
		{"_text", `{a"b}`, `"{a\"b}"`},
		{"_int4", strings.Repeat("{", 7) + strings.Repeat("}", 7), `"{{{{{{{}}}}}}}"`},
		{"__int4", `{"{1,2}"}`, "[[1,2]]"}, // an array of a type whose name begins with an underscore
		{"_", "{}", `"{}"`},
	} {
		if got := string(Append(nil, c.typ, []byte(c.text))); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.typ, c.text, got, c.want)
		}
	}
}

func TestFitsCountsTheQuotes(t *testing.T) {
	for n, want := range map[int]bool{62: true, 63: false} {
		if v := Append(nil, "text", []byte(strings.Repeat("x", n))); Fits(v) != want {
			t.Errorf("%d characters of text: fits %v, want %v", n, Fits(v), want)
		}
	}
}

func FuzzAppend(f *testing.F) {
	for _, s := range samples {
		typ := strings.Trim(s.typ, `"`)
		if element, ok := strings.CutSuffix(s.typ, "[]"); ok {
			typ = "_" + element
		}
		for _, literal := range s.literals {
			f.Add(typ, []byte(literal))
		}
	}
	f.Fuzz(func(t *testing.T, typ string, text []byte) {
		if len(typ) > 63 { // PostgreSQL's limit for names
			return
		}
		got := Append(nil, typ, text)
		if !json.Valid(got) || !utf8.Valid(got) {
			t.Fatalf("%s %q: %q is no JSON in UTF-8", typ, text, got)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ typ, text string }{
		{"int8", "1234567890"},
		{"numeric", "12345.67890"},
		{"text", strings.Repeat("a bunch of white roses ", 10)},
		{"timestamptz", "2026-06-13 14:03:07.412+00"},
		{"jsonb", `{"guests": 120, "menu": ["fish", "vegan"], "notes": {"from": "florist"}}`},
		{"_int4", "{1,2,3,4,5,6,7,8}"},
		{"_text", `{rose,"white lily","\"Queen of the Night\""}`},
	} {
		b.Run(c.typ, func(b *testing.B) {
			dst, text := make([]byte, 0, 1024), []byte(c.text)
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				dst = Append(dst[:0], c.typ, text)
			}
		})
	}
}
