package journal

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Parse reads one line, without its newline. It accepts exactly what Append writes: parsing a line and appending the
// record gives the same bytes.
func Parse(line []byte) (Record, error) {
	p := parser{rest: line}
	var r Record
	if !p.take(`{"e":`) {
		return r, fmt.Errorf(`a line starts with {"e":, found %s`, p.found())
	}
	name, err := p.str()
	if err != nil {
		return r, fmt.Errorf(`"e": %w`, err)
	}
	i := slices.Index(kindNames[:], name)
	if i < 0 {
		return r, fmt.Errorf("unknown kind of record %q", name)
	}
	r.Kind = Kind(i)
	for _, k := range layouts[r.Kind] {
		text := keyText[k]
		if !p.take(text) {
			if r.absent(k) {
				continue
			}
			return r, fmt.Errorf("%s record: expected %s, found %s", name, text[1:len(text)-1], p.found())
		}
		if err := p.value(&r, k); err != nil {
			return r, fmt.Errorf("%s record: %s: %w", name, text[1:len(text)-1], err)
		}
	}
	if !p.take("}") || len(p.rest) > 0 {
		return r, fmt.Errorf("%s record: expected its end, found %s", name, p.found())
	}
	return r, nil
}

// parser is a cursor over one line.
type parser struct{ rest []byte }

// take steps over s if the line goes on with it.
func (p *parser) take(s string) bool {
	if len(p.rest) < len(s) || string(p.rest[:len(s)]) != s {
		return false
	}
	p.rest = p.rest[len(s):]
	return true
}

// found shows what comes next, for messages.
func (p *parser) found() string {
	if len(p.rest) == 0 {
		return "the end of the line"
	}
	return fmt.Sprintf("%.30q", p.rest)
}

func (p *parser) value(r *Record, k key) (err error) {
	switch {
	case k < kSchema:
		if *r.integer(k), err = p.int(); err == nil && r.absent(k) {
			err = fmt.Errorf("is written only when there are any")
		}
	case k < kSeed:
		f := r.text(k)
		if *f, err = p.str(); err == nil {
			if ok := words(k); ok != nil && !slices.Contains(ok, *f) {
				err = fmt.Errorf("%q is not one of %s", *f, strings.Join(ok, ", "))
			}
		}
	case k == kSeed:
		r.Seed, err = p.uint()
	case k == kSame:
		r.Same, err = p.bool()
	case k == kReplayed:
		if r.Replayed, err = p.bool(); err == nil && !r.Replayed {
			err = fmt.Errorf("is written only when true")
		}
	case k == kOn:
		r.On, err = p.bool()
	case k == kHeld:
		r.Held, err = list(p, p.str)
	case k == kGot:
		r.Got, err = list(p, p.int)
	}
	return err
}

func (p *parser) int() (int64, error) {
	negative := p.take("-")
	u, err := p.uint()
	switch {
	case err != nil:
		return 0, err
	case negative && (u == 0 || u > 1<<63):
		return 0, fmt.Errorf("-%d is not a number this file can hold", u)
	case negative:
		return -int64(u), nil
	case u > math.MaxInt64:
		return 0, fmt.Errorf("%d is out of range", u)
	}
	return int64(u), nil
}

func (p *parser) uint() (uint64, error) {
	var u uint64
	n := 0
	for ; n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9'; n++ {
		d := uint64(p.rest[n] - '0')
		if u > (math.MaxUint64-d)/10 {
			return 0, fmt.Errorf("the number is out of range")
		}
		u = u*10 + d
	}
	if n == 0 || n > 1 && p.rest[0] == '0' {
		return 0, fmt.Errorf("expected a number, found %s", p.found())
	}
	p.rest = p.rest[n:]
	return u, nil
}

func (p *parser) bool() (bool, error) {
	switch {
	case p.take("true"):
		return true, nil
	case p.take("false"):
		return false, nil
	}
	return false, fmt.Errorf("expected true or false, found %s", p.found())
}

// list reads what one reads, any number of times; none is nil.
func list[T any](p *parser, one func() (T, error)) ([]T, error) {
	if !p.take("[") {
		return nil, fmt.Errorf("expected a list, found %s", p.found())
	}
	if p.take("]") {
		return nil, nil
	}
	var all []T
	for {
		v, err := one()
		if err != nil {
			return nil, err
		}
		all = append(all, v)
		if p.take("]") {
			return all, nil
		}
		if !p.take(",") {
			return nil, fmt.Errorf("expected , or ], found %s", p.found())
		}
	}
}

func (p *parser) str() (string, error) {
	if !p.take(`"`) {
		return "", fmt.Errorf("expected a string, found %s", p.found())
	}
	for i, c := range p.rest {
		switch {
		case c == '"':
			s := p.rest[:i]
			p.rest = p.rest[i+1:]
			if !utf8.Valid(s) {
				return "", fmt.Errorf("%.30q is not UTF-8", s)
			}
			return string(s), nil
		case c == '\\':
			return p.escaped(i)
		case c < ' ':
			return "", fmt.Errorf("control character %#x in a string", c)
		}
	}
	return "", fmt.Errorf("a string without its end: %s", p.found())
}

// escaped reads a string whose first escape stands at i: the rare case.
func (p *parser) escaped(i int) (string, error) {
	s := append([]byte(nil), p.rest[:i]...)
	p.rest = p.rest[i:]
	for len(p.rest) > 0 {
		c := p.rest[0]
		switch {
		case p.take(`"`):
			if !utf8.Valid(s) {
				return "", fmt.Errorf("%.30q is not UTF-8", s)
			}
			return string(s), nil
		case p.take(`\"`):
			s = append(s, '"')
		case p.take(`\\`):
			s = append(s, '\\')
		case p.take(`\u00`):
			if len(p.rest) < 2 {
				return "", fmt.Errorf("half an escape")
			}
			high, low := strings.IndexByte("01", p.rest[0]), strings.IndexByte(hexDigits, p.rest[1])
			if high < 0 || low < 0 {
				return "", fmt.Errorf("an escape that is not needed: \\u00%s", p.rest[:2])
			}
			s = append(s, byte(high<<4|low))
			p.rest = p.rest[2:]
		case c == '\\' || c < ' ':
			return "", fmt.Errorf("unknown escape or control character: %s", p.found())
		default:
			s = append(s, c)
			p.rest = p.rest[1:]
		}
	}
	return "", fmt.Errorf("a string without its end")
}
