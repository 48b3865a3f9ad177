package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// maxConditions and maxPattern bound what one row costs: every change of the table is held against every
	// condition of every subscription.
	maxConditions = 100
	maxPattern    = 1000 // bytes
	maxValues     = 100  // of in, as the original server has it
)

// Parse reads a filter; an empty or blank one has no conditions. The text of an error begins as the
// original server's does, with the parts that it could not read.
func Parse(text string) ([]Condition, error) {
	rest := strings.TrimSpace(text)
	if rest == "" {
		return nil, nil
	}
	if !utf8.ValidString(rest) || strings.IndexByte(rest, 0) >= 0 {
		return nil, fmt.Errorf("[%q]: PostgreSQL has no such text: send UTF-8 without NUL bytes", rest)
	}
	var conditions []Condition
	for more := true; more; {
		if len(conditions) == maxConditions {
			return nil, fmt.Errorf("more than %d conditions: use in.(…), or several subscriptions", maxConditions)
		}
		var segment string
		segment, rest, more = cut(rest)
		c, err := parseCondition(strings.TrimSpace(segment))
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, c)
	}
	return conditions, nil
}

// cut splits at the first comma that is neither in parentheses nor in quotes. A quote opens only where a
// value or an element of a list may begin, so that 5" is a length. Parentheses and quotes count after the
// first = only: a column's name is not a value.
func cut(text string) (segment, rest string, more bool) {
	start := strings.IndexAny(text, "=,") + 1
	if start > 0 && text[start-1] == ',' {
		return text[:start-1], text[start:], true
	}
	depth, quoted := 0, false
	for i := start; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && (quoted || strings.IndexByte(".(,", text[max(i-1, 0)]) >= 0):
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth = max(0, depth-1)
		case c == ',' && depth == 0:
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}

func parseCondition(text string) (Condition, error) {
	if text == "" {
		return Condition{}, errors.New("filter must not contain empty segments (check for extra commas)")
	}
	column, rest, ok := strings.Cut(text, "=")
	if !ok {
		return Condition{}, fmt.Errorf("[%q]: write column=operator.value", text)
	}
	if column == "" {
		return Condition{}, fmt.Errorf("[%q]: no column before the =: write column=operator.value", text)
	}
	c := Condition{Column: column}
	rest, c.Not = strings.CutPrefix(rest, "not.")
	operator, value, ok := strings.Cut(rest, ".")
	if !ok {
		return Condition{}, fmt.Errorf("[%q]: no operator and value: write %s=operator.value", rest, column)
	}
	c.Operator = Operator(operator)
	if !slices.Contains(operators, c.Operator) {
		return Condition{}, fmt.Errorf("[%q, %q]: there is no operator %s: use one of %s", operator, value, operator, known())
	}
	var err error
	switch c.Operator {
	case In:
		c.Values, c.Null, err = parseList(value)
	case Is:
		c.Value = unquote(value)
		err = checkIs(c.Value)
	default:
		c.Value = unquote(value)
	}
	if err != nil {
		return Condition{}, fmt.Errorf("[%q, %q]: %w", operator, value, err)
	}
	return c, nil
}

func known() string {
	names := make([]string, len(operators))
	for i, o := range operators {
		names[i] = string(o)
	}
	return strings.Join(names, ", ")
}

func checkIs(value string) error {
	switch value {
	case "null", "true", "false", "unknown":
		return nil
	}
	return errors.New("invalid value for is filter: must be null, true, false, or unknown")
}

// unquote takes the quotes off a value that is quoted as a whole; anything else stays as it is, as with
// the original server.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '"' {
		return value
	}
	var b strings.Builder
	for i := 1; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"' && i == len(value)-1:
			return b.String()
		case c == '"':
			return value
		case c == '\\' && i < len(value)-1:
			i++
			b.WriteByte(value[i])
		default:
			b.WriteByte(c)
		}
	}
	return value
}
