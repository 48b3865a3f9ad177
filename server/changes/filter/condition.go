// Package filter decides which rows a subscription to database changes wants.
//
// A client writes a filter as text, column=operator.value, several of them separated by commas, all of
// which must hold:
//
//	guests=gte.100,status=in.(open,"on hold"),note=not.is.null
//
// Parse reads the text without knowing the table. Compile checks the conditions against the table's
// column types, once per subscription, and Match answers for every change of a row, without asking the
// database: it evaluates the operators on the text form in which PostgreSQL hands out values. The answer
// is the one that the same condition gives in a WHERE clause, NULLs included, and a differential test
// holds it to that against a real PostgreSQL. Where it cannot be, Compile refuses with an error that says
// what to use instead, or the difference stands here:
//
//   - Text is ordered bytewise, as COLLATE "C" does, whatever the column's collation is. Case and classes of
//     letters are Unicode's (by its simple mapping), as in a UTF-8 database of any locale but C.
//   - match and imatch take PostgreSQL's regular expressions as far as RE2 has them: no back references,
//     no look-around, no \m and \M. What RE2 would read otherwise is translated or refused (see posix.go),
//     but for this: \y, \s, [[:space:]] and [[:punct:]] know ASCII only. An expression too large for a very
//     long value is not held against it, which is no match, under not. as well (maxWork).
//   - A pattern of like that ends with a lone backslash is refused; PostgreSQL fails only on rows where it
//     comes that far.
//
// The operators are eq, neq, lt, lte, gt, gte, in, like, ilike, is, match, imatch and isdistinct; the
// prefix not. negates one. A comparison with NULL is unknown, which is no match, under not. as well; only
// is and isdistinct speak about NULL.
package filter

import (
	"strings"
)

// Operator is what a condition does with its value.
type Operator string

// The operators, in the words of the filter text.
const (
	Eq         Operator = "eq"
	Neq        Operator = "neq"
	Lt         Operator = "lt"
	Lte        Operator = "lte"
	Gt         Operator = "gt"
	Gte        Operator = "gte"
	In         Operator = "in"
	Like       Operator = "like"
	ILike      Operator = "ilike"
	Is         Operator = "is"
	Match      Operator = "match"
	IMatch     Operator = "imatch"
	IsDistinct Operator = "isdistinct"
)

var operators = []Operator{Eq, Neq, Lt, Lte, Gt, Gte, In, Like, ILike, Is, Match, IMatch, IsDistinct}

// Condition is one column=operator.value.
type Condition struct {
	Column   string
	Not      bool
	Operator Operator
	Value    string   // of every operator but in; for is: null, true, false or unknown
	Values   []string // of in
	Null     bool     // in has NULL among its values
}

// String writes conditions such that Parse reads the same again.
func String(conditions []Condition) string {
	var b strings.Builder
	for i, c := range conditions {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(c.String())
	}
	return b.String()
}

// String writes the condition as filter text.
func (c Condition) String() string {
	var b strings.Builder
	b.WriteString(c.Column)
	b.WriteByte('=')
	if c.Not {
		b.WriteString("not.")
	}
	b.WriteString(string(c.Operator))
	b.WriteByte('.')
	if c.Operator != In {
		if strings.ContainsAny(c.Value, `,()"\`) || strings.TrimSpace(c.Value) != c.Value {
			quote(&b, c.Value)
		} else {
			b.WriteString(c.Value)
		}
		return b.String()
	}
	b.WriteByte('(')
	for i, v := range c.Values {
		if i > 0 {
			b.WriteByte(',')
		}
		if v == "" || strings.ContainsAny(v, `,(){}"\`) || strings.Trim(v, listSpace) != v || strings.EqualFold(v, "null") {
			quote(&b, v)
		} else {
			b.WriteString(v)
		}
	}
	if c.Null {
		if len(c.Values) > 0 {
			b.WriteByte(',')
		}
		b.WriteString("NULL")
	}
	b.WriteByte(')')
	return b.String()
}

func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}
