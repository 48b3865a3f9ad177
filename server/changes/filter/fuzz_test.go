package filter

import (
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var fuzzedTypes = []string{
	"text", "bpchar", "citext", "uuid", "int4", "oid", "float4", "float8", "numeric", "bool", "date", "time", "timetz", "timestamp", "timestamptz", "interval",
	"inet", "jsonb", "_numeric", "mood",
}

// FuzzMatch holds the operators to each other, and to the simplest other way to say the same.
func FuzzMatch(f *testing.F) {
	for _, seed := range []struct {
		operator Operator
		typ      string
		a, b     string
	}{
		{Like, "text", "%a_b%", "xaabx"}, {ILike, "text", `É\%`, "é%"}, {Match, "text", "^a[b-d]", "ac"}, {IMatch, "text", `\yx(?:y|z)*`, "X"},
		{Lt, "numeric", "1.50", "-1.5"}, {Eq, "numeric", "NaN", "-Infinity"}, {Gte, "int4", "5", "-5"}, {Lte, "float8", "-0", "1e-300"},
		{Gt, "timestamp", "2026-06-13 14:03:07.5", "0044-03-15 00:00:00 BC"}, {Eq, "timestamptz", "2026-06-13 14:03:07+02", "2026-06-13 12:03:07+00"},
		{Eq, "interval", "1 mon -3 days +04:05:06", "30 days"}, {Eq, "jsonb", `{"a": 1.0}`, `{"a": 1}`}, {Neq, "date", "2024-02-29", "infinity"},
		{In, "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "x"}, {Lt, "timetz", "12:00:00+02", "10:00:00+00"}, {Eq, "inet", "::1", "::1/128"},
	} {
		f.Add(uint8(slices.Index(operators, seed.operator)), uint8(slices.Index(fuzzedTypes, seed.typ)), seed.a, seed.b)
	}
	f.Fuzz(func(t *testing.T, operator, typ uint8, literal, text string) {
		if len(literal) > maxPattern || len(text) > 1<<12 {
			return
		}
		c := Condition{Column: "c", Operator: operators[int(operator)%len(operators)], Value: literal, Values: []string{literal}}
		typeName := fuzzedTypes[int(typ)%len(fuzzedTypes)]
		// holds is unknown if the value is no value of the type.
		holds := func(c Condition) (truth, bool) {
			p, err := Compile([]Condition{c}, func(string) (string, bool) { return typeName, true }, same)
			if err != nil {
				return unknown, false
			}
			value := func(string) (string, bool, bool) { return text, false, true }
			is := p.Match(value)
			p.tests[0].not = true
			switch isNot := p.Match(value); {
			case is && isNot:
				t.Fatalf("%q %s on %s: both it and its negation", text, c, typeName)
			case is:
				return isTrue, true
			case isNot:
				return isFalse, true
			}
			return unknown, true
		}
		got, ok := holds(c)
		if !ok {
			return
		}
		if want := oracle(c.Operator, typeName, literal, text); want != unknown && got != want {
			t.Fatalf("%q %s on %s: %d, want %d", text, c, typeName, got, want)
		}
		// One of <, =, > is true, or none is known.
		var order [3]truth
		for i, o := range []Operator{Lt, Eq, Gt} {
			c.Operator = o
			if order[i], ok = holds(c); !ok {
				return
			}
		}
		trues := 0
		for _, o := range order {
			if (o == unknown) != (order[0] == unknown) {
				t.Fatalf("%q and %q of %s: <, =, > are %v", text, literal, typeName, order)
			}
			if o == isTrue {
				trues++
			}
		}
		if order[0] != unknown && trues != 1 {
			t.Fatalf("%q and %q of %s: <, =, > are %v", text, literal, typeName, order)
		}
	})
}

// oracle answers where there is another way to know; unknown elsewhere.
func oracle(operator Operator, typ, literal, text string) truth {
	if !utf8.ValidString(literal) || !utf8.ValidString(text) { // such values must not hurt, and that is all
		return unknown
	}
	switch operator {
	case Like, ILike:
		if typ != "text" {
			return unknown
		}
		return truthOf(likeOracle(literal, text, operator == ILike))
	case Match:
		if typ != "text" || strings.ContainsAny(literal, `\.+*?()|[]{}^$`) {
			return unknown
		}
		return truthOf(strings.Contains(text, literal))
	}
	order := 0
	switch typ {
	case "text", "uuid":
		order = strings.Compare(text, literal)
	case "int4", "numeric":
		a, okA := new(big.Rat).SetString(text)
		b, okB := new(big.Rat).SetString(literal)
		if !okA || !okB || !isPlain(text) || !isPlain(literal) || typ == "int4" && strings.Contains(text+literal, ".") {
			return unknown
		}
		order = a.Cmp(b)
	case "timestamp":
		a, errA := time.Parse("2006-01-02 15:04:05.999999", text)
		b, errB := time.Parse("2006-01-02 15:04:05.999999", literal)
		if errA != nil || errB != nil || len(text) > 26 || len(literal) > 26 || strings.Contains(text+literal, ",") {
			return unknown
		}
		order = a.Compare(b)
	default:
		return unknown
	}
	switch operator {
	case Eq, In:
		return truthOf(order == 0)
	case Neq, IsDistinct:
		return truthOf(order != 0)
	case Lt:
		return truthOf(order < 0)
	case Lte:
		return truthOf(order <= 0)
	case Gt:
		return truthOf(order > 0)
	case Gte:
		return truthOf(order >= 0)
	}
	return unknown
}

// isPlain says whether a number is one as PostgreSQL prints it, in a range that every integer type of ours has.
func isPlain(number string) bool {
	return len(number) < 18 && strings.Trim(number, "-.0123456789") == "" && !strings.HasPrefix(strings.TrimPrefix(number, "-"), ".") && !strings.HasSuffix(number, ".")
}
