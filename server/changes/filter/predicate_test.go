package filter

import (
	"errors"
	"strings"
	"testing"
)

// same is a PostgreSQL whose canonical literals are the literals.
func same(_, literal string) (string, error) { return literal, nil }

// matches compiles a filter for a table whose every column has one type, and matches it against one value.
func matches(t testing.TB, filter, typ string, text string, null bool) bool {
	t.Helper()
	conditions, err := Parse(filter)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(conditions, func(string) (string, bool) { return typ, true }, same)
	if err != nil {
		t.Fatal(err)
	}
	return p.Match(func(string) (string, bool, bool) { return text, null, true })
}

// TestNull holds what each operator and its negation say of NULL.
func TestNull(t *testing.T) {
	for filter, want := range map[string]bool{
		"c=eq.a": false, "c=not.eq.a": false, "c=neq.a": false, "c=not.neq.a": false,
		"c=lt.a": false, "c=not.lt.a": false, "c=gte.a": false, "c=not.gte.a": false,
		"c=like.%": false, "c=not.like.%": false, "c=imatch.a": false, "c=not.imatch.a": false,
		"c=in.(a)": false, "c=not.in.(a)": false, "c=in.(NULL)": false, "c=not.in.(NULL)": false,
		"c=in.()": false, "c=not.in.()": true,
		"c=is.null": true, "c=not.is.null": false,
		"c=isdistinct.a": true, "c=not.isdistinct.a": false,
	} {
		if got := matches(t, filter, "text", "", true); got != want {
			t.Errorf("NULL %s: %v, want %v", filter, got, want)
		}
	}
	for filter, want := range map[string]bool{
		"c=is.true": false, "c=not.is.true": true, "c=is.unknown": true, "c=not.is.unknown": false,
	} {
		if got := matches(t, filter, "bool", "", true); got != want {
			t.Errorf("NULL %s: %v, want %v", filter, got, want)
		}
	}
	// NULL in a list is neither equal nor different.
	if matches(t, "c=in.(b,NULL)", "text", "a", false) || matches(t, "c=not.in.(b,NULL)", "text", "a", false) {
		t.Error("a is in (b, NULL), or is not")
	}
	if !matches(t, "c=in.(a,NULL)", "text", "a", false) {
		t.Error("a is not in (a, NULL)")
	}
}

func TestMatchNeedsEveryConditionAndEveryColumn(t *testing.T) {
	conditions, err := Parse("guests=gte.100,status=in.(open,\"on hold\"),note=not.is.null")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{"guests": "int4", "status": "mood", "note": "text"}
	p, err := Compile(conditions, func(name string) (string, bool) { typ, ok := types[name]; return typ, ok }, same)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		row  map[string]string
		want bool
	}{
		{map[string]string{"guests": "120", "status": "on hold", "note": ""}, true},
		{map[string]string{"guests": "99", "status": "on hold", "note": ""}, false},
		{map[string]string{"guests": "120", "status": "closed", "note": ""}, false},
		{map[string]string{"guests": "120", "status": "open"}, false}, // a column that the row does not tell
		{map[string]string{"guests": "many", "status": "open", "note": ""}, false},
	} {
		got := p.Match(func(column string) (string, bool, bool) { text, ok := c.row[column]; return text, false, ok })
		if got != c.want {
			t.Errorf("%v: %v", c.row, got)
		}
	}
	none, err := Compile(nil, nil, nil)
	if err != nil || !none.Match(nil) {
		t.Errorf("a filter without conditions does not match: %v", err)
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct{ filter, typ, want string }{
		{"other=eq.1", "int4", "invalid column for filter other"},
		{"c=lt.a", "mood", "type mood has no order here: use eq, neq, in, is"},
		{"c=lt.1", "jsonb", "type jsonb has no order here"},
		{"c=eq.1", "json", "values of type json are not compared here: use is.null"},
		{"c=gt.1", "json", "type json has no order here: use is"},
		{"c=in.(1)", "_interval", "not compared"},
		{"c=like.1", "int4", "operator like requires a text-compatible column type, got int4"},
		{"c=match.1", "uuid", "operator match requires a text-compatible column type, got uuid"},
		{"c=is.true", "text", "is.true requires a column of type bool, got text"},
		{`c=like.a\`, "text", "LIKE pattern must not end with escape character"},
		{"c=eq.broken", "int4", "invalid input syntax"},
		{"c=in.(1,broken)", "int4", "invalid input syntax"},
		{"c=eq.odd", "date", "set DateStyle to ISO"},
		{"c=match.(", "text", "missing closing"},
		{"c=match.[a", "text", "[ without ]"},
		{"c=match.[[:alpha", "text", "[: without :]"},
		{"c=match.[[.a.]]", "text", "[. is not supported"},
		{"c=match.[[=a=]]", "text", "[= is not supported"},
		{"c=match.[[:<:]]a", "text", "invalid character class"},
		{`c=match."(a)\\1"`, "text", `\1 is not supported`},
		{`c=match."\\mab"`, "text", `\m is not supported: \y is the boundary`},
		{`c=match."[\\y]"`, "text", `\y is not supported in []`},
		{`c=match."\\pL"`, "text", `\p is not supported: write the character itself`},
		{"c=match.(?=a)", "text", "(?=a is not supported"},
		{"c=match.(?P<x>a)", "text", "(?P< is not supported"},
		{"c=match.a(?i)", "text", "(?i) is not supported"},
		{`c=match.a\`, "text", "a lone backslash at the end"},
		{"c=match.*a", "text", "missing argument"},
		{"c=like." + strings.Repeat("a", 1001), "text", "use at most 1000"},
		{"c=match." + strings.Repeat("a", 1001), "text", "use at most 1000"},
		{"c=match.(a{1000})(a{1000})(a{1000})", "text", "too large"},
	} {
		conditions, err := Parse(c.filter)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Compile(conditions, func(name string) (string, bool) { return c.typ, name == "c" }, func(_, literal string) (string, error) {
			if literal == "broken" {
				return "", errors.New("invalid input syntax")
			}
			return literal, nil
		})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s on %s: %v, want %s", c.filter, c.typ, err, c.want)
		}
	}
	// Conditions that no text says, made by a program.
	column := func(string) (string, bool) { return "text", true }
	if _, err := Compile([]Condition{{Column: "c", Operator: "near"}}, column, same); err == nil {
		t.Error("an operator that there is not")
	}
	if _, err := Compile([]Condition{{Column: "c", Operator: In, Values: make([]string, 101)}}, column, same); err == nil {
		t.Error("101 values")
	}
}
