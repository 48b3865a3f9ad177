package filter

import (
	"fmt"
	"slices"
)

// Predicate is a compiled filter. It may be used from many goroutines at once.
type Predicate struct {
	tests []test
}

// Compile checks conditions against the columns of a table and makes them ready to be matched.
//
// column names the type of a column as in pg_type (int4, text, _uuid), that of a domain by its base type.
// canonical asks PostgreSQL for literal::typ::text, with DateStyle ISO, IntervalStyle postgres and TimeZone
// UTC; typ must be quoted as an identifier ("char" is not char). It is called once per value, and not for
// text, varchar, bpchar and citext, whose literals are what they are.
func Compile(conditions []Condition, column func(name string) (typ string, ok bool), canonical func(typ, literal string) (string, error)) (*Predicate, error) {
	p := &Predicate{tests: make([]test, 0, len(conditions))}
	for _, c := range conditions {
		typ, ok := column(c.Column)
		if !ok {
			return nil, fmt.Errorf("invalid column for filter %s", c.Column)
		}
		t, err := compile(c, typ, canonical)
		if err != nil {
			return nil, fmt.Errorf("filter %s: %w", c, err)
		}
		p.tests = append(p.tests, t)
	}
	return p, nil
}

// Match says whether a row is wanted: whether all conditions are true. value hands out the text form of a
// column's value; ok is false if the row at hand does not tell it, and then no condition on it is true.
func (p *Predicate) Match(value func(column string) (text string, null, ok bool)) bool {
	for i := range p.tests {
		t := &p.tests[i]
		text, null, ok := value(t.column)
		if !ok || t.evaluate(text, null) != isTrue {
			return false
		}
	}
	return true
}

// truth is one of SQL's three.
type truth int

const (
	unknown truth = iota
	isTrue
	isFalse
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// test is a condition on one column, with its values made ready.
type test struct {
	column   string
	not      bool
	operator Operator
	typ      string
	kind     kind
	want     []operand // one; of in any number
	null     bool      // in: NULL is one of them
	is       string
	like     *like
	regexp   *expression
}

func compile(c Condition, typ string, canonical func(typ, literal string) (string, error)) (t test, err error) {
	if err := check(c, typ); err != nil {
		return t, err
	}
	t = test{column: c.Column, not: c.Not, operator: c.Operator, typ: typ, kind: kinds[typ], null: c.Null}
	switch c.Operator {
	case Like, ILike:
		t.like, err = compileLike(c.Value, c.Operator == ILike || t.kind == folded)
	case Match, IMatch:
		t.regexp, err = compileRegexp(c.Value, c.Operator == IMatch || t.kind == folded)
	case Is:
		t.is = c.Value
	case In:
		if len(c.Values) > maxValues {
			return t, fmt.Errorf("too many values for `in` filter. Maximum %d", maxValues)
		}
		t.want, err = t.operands(c.Values, canonical)
	default:
		t.want, err = t.operands([]string{c.Value}, canonical)
	}
	return t, err
}

// literalIsValue are the types whose literals need no PostgreSQL to become values.
var literalIsValue = []string{"text", "varchar", "bpchar", "citext"}

func (t *test) operands(literals []string, canonical func(typ, literal string) (string, error)) ([]operand, error) {
	want := make([]operand, 0, len(literals))
	for _, literal := range literals {
		text := literal
		if !slices.Contains(literalIsValue, t.typ) {
			var err error
			if text, err = canonical(t.typ, literal); err != nil {
				return nil, err
			}
		}
		o, ok := t.kind.read(t.typ, text)
		if !ok {
			return nil, fmt.Errorf("%q, as PostgreSQL prints the %s %q, is not understood: set DateStyle to ISO, IntervalStyle to postgres", text, t.typ, literal)
		}
		want = append(want, o)
	}
	return want, nil
}

func (t *test) evaluate(text string, null bool) truth {
	result := t.plain(text, null)
	switch {
	case result == unknown || !t.not:
		return result
	case result == isTrue:
		return isFalse
	}
	return isTrue
}

// plain evaluates without the not.
func (t *test) plain(text string, null bool) truth {
	switch {
	case t.operator == Is:
		return t.evaluateIs(text, null)
	case t.operator == IsDistinct && null:
		return isTrue
	case t.operator == In && len(t.want) == 0 && !t.null:
		return isFalse // of NULL too: nothing is in an empty list
	case null:
		return unknown
	case t.like != nil:
		return truthOf(t.like.match(text))
	case t.regexp != nil:
		return t.regexp.match(text)
	}
	got, ok := t.kind.read(t.typ, text)
	if !ok {
		return unknown
	}
	if t.operator == In {
		for i := range t.want {
			if t.kind.compare(got, t.want[i]) == 0 {
				return isTrue
			}
		}
		if t.null {
			return unknown
		}
		return isFalse
	}
	order := t.kind.compare(got, t.want[0])
	switch t.operator {
	case Eq:
		return truthOf(order == 0)
	case Neq, IsDistinct:
		return truthOf(order != 0)
	case Lt:
		return truthOf(order < 0)
	case Lte:
		return truthOf(order <= 0)
	case Gt:
		return truthOf(order > 0)
	}
	return truthOf(order >= 0) // Gte: check lets no other through
}

func (t *test) evaluateIs(text string, null bool) truth {
	if t.is == "null" || t.is == "unknown" {
		return truthOf(null)
	}
	got, ok := boolean.read(t.typ, text)
	if null {
		return isFalse
	}
	if !ok {
		return unknown
	}
	return truthOf((got.at.minor == 1) == (t.is == "true"))
}
