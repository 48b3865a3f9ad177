package filter

import (
	"errors"
	"fmt"
	"strings"
)

// listSpace is what may stand around an element of a list without being a part of it.
const listSpace = " \t\n\v\f\r"

// parseList reads the (a,b) of in. Between the parentheses stands what PostgreSQL takes between the
// braces of an array: quotes and backslashes, blanks around an element do not count, NULL is NULL.
func parseList(text string) (values []string, null bool, err error) {
	if len(text) < 2 || text[0] != '(' || text[len(text)-1] != ')' {
		return nil, false, errors.New("`in` filter value must be wrapped by parentheses")
	}
	l := list{rest: text[1 : len(text)-1]}
	l.more = strings.Trim(l.rest, listSpace) != ""
	for n := 0; l.more; n++ {
		if n == maxValues {
			return nil, false, fmt.Errorf("too many values for `in` filter. Maximum %d", maxValues)
		}
		value, isNull, err := l.next()
		switch {
		case err != nil:
			return nil, false, err
		case isNull:
			null = true
		default:
			values = append(values, value)
		}
	}
	return values, null, nil
}

// list is what is still to be read.
type list struct {
	rest string
	more bool
}

// next takes the first element off the list.
func (l *list) next() (value string, null bool, err error) {
	l.rest = strings.TrimLeft(l.rest, listSpace)
	if strings.HasPrefix(l.rest, `"`) {
		value, err = l.quoted()
		return value, false, err
	}
	var b strings.Builder
	i, length, escaped := 0, 0, false // length of the value without the blanks behind it
	for ; i < len(l.rest) && l.rest[i] != ','; i++ {
		c := l.rest[i]
		switch {
		case c == '\\' && i+1 == len(l.rest):
			return "", false, errors.New("the list ends with a lone backslash: write two")
		case c == '\\':
			i++
			b.WriteByte(l.rest[i])
			length, escaped = b.Len(), true
			continue
		case c == '"' || c == '{' || c == '}':
			return "", false, fmt.Errorf(`%c within a value of the list: write the whole value in double quotes`, c)
		}
		b.WriteByte(c)
		if strings.IndexByte(listSpace, c) < 0 {
			length = b.Len()
		}
	}
	if length == 0 {
		return "", false, errors.New(`an empty value in the list: write "" for the empty text, or check for extra commas`)
	}
	l.advance(i)
	value = b.String()[:length]
	return value, !escaped && strings.EqualFold(value, "null"), nil
}

// quoted takes an element in quotes.
func (l *list) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch c := l.rest[i]; {
		case c == '\\' && i+1 < len(l.rest):
			i++
			b.WriteByte(l.rest[i])
		case c != '"':
			b.WriteByte(c)
		default:
			behind := len(l.rest) - len(strings.TrimLeft(l.rest[i+1:], listSpace))
			if behind < len(l.rest) && l.rest[behind] != ',' {
				return "", errors.New(`text behind a closing quote in the list: write a quote within quotes as \"`)
			}
			l.advance(behind)
			return b.String(), nil
		}
	}
	return "", errors.New("a quote in the list is not closed")
}

// advance goes on behind the comma at i, if there is one.
func (l *list) advance(i int) {
	if l.more = i < len(l.rest); l.more {
		l.rest = l.rest[i+1:]
	}
}
