package filter

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// maxProgram bounds a regular expression by the instructions that RE2 makes of it: matching takes at most
// (length of the text) · (instructions). a{1000}, eight characters, has more than 1000.
const maxProgram = 2000

// maxWork bounds one match, about half a second: an expression of up to 95 instructions, which is a long one,
// is held against every value there can be (1 MiB); a larger one not against values that would take more.
const maxWork = 100_000_000

// expression is a compiled regular expression.
type expression struct {
	re           *regexp.Regexp
	instructions int
}

func (e *expression) match(text string) truth {
	if e.instructions*len(text) > maxWork {
		return unknown
	}
	return truthOf(e.re.MatchString(text))
}

// compileRegexp makes RE2 read a regular expression as PostgreSQL does: . is any character, also a newline;
// ^ and $ are the ends of the text. An escape or group that would mean something else is translated or refused.
func compileRegexp(pattern string, fold bool) (*expression, error) {
	t := translation{rest: pattern}
	// An option at the front overrules the operator.
	if rest, ok := strings.CutPrefix(t.rest, "(?i)"); ok {
		t.rest, fold = rest, true
	} else if rest, ok := strings.CutPrefix(t.rest, "(?c)"); ok {
		t.rest, fold = rest, false
	}
	if err := t.expression(); err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	flags := "(?s)"
	if fold {
		flags = "(?is)"
	}
	translated := flags + t.b.String()
	parsed, err := syntax.Parse(translated, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	if len(program.Inst) > maxProgram {
		return nil, fmt.Errorf("regular expression %q is too large: use fewer or smaller repetitions {m,n}", pattern)
	}
	re, err := regexp.Compile(translated)
	return &expression{re, len(program.Inst)}, err
}

// classes are those that RE2 has for ASCII only, and a database for all letters.
var classes = map[string]string{
	"alpha": `\p{L}`, "alnum": `\p{L}\p{N}`, "word": word,
	"upper": `\p{Lu}`, "lower": `\p{Ll}`,
}

const word = `\p{L}\p{N}_`

// translation goes through an expression once, from left to right.
type translation struct {
	rest string
	b    strings.Builder
}

func (t *translation) copy(n int) {
	t.b.WriteString(t.rest[:n])
	t.rest = t.rest[n:]
}

func (t *translation) expression() error {
	for t.rest != "" {
		switch {
		case t.rest[0] == '\\':
			if err := t.escape(false); err != nil {
				return err
			}
		case t.rest[0] == '[':
			if err := t.bracket(); err != nil {
				return err
			}
		case strings.HasPrefix(t.rest, "(?:"):
			t.copy(3)
		case strings.HasPrefix(t.rest, "(?"):
			return fmt.Errorf("%.4s is not supported: groups are ( and (?:, options are (?i) or (?c) at the front", t.rest)
		default:
			t.copy(1)
		}
	}
	return nil
}

// bracket goes through [...].
func (t *translation) bracket() error {
	t.copy(1)
	if strings.HasPrefix(t.rest, "^") {
		t.copy(1)
	}
	for first := true; t.rest != ""; first = false {
		switch {
		case t.rest[0] == ']' && !first:
			t.copy(1)
			return nil
		case t.rest[0] == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		case strings.HasPrefix(t.rest, "[."), strings.HasPrefix(t.rest, "[="):
			return fmt.Errorf("%.2s is not supported: name the characters themselves", t.rest)
		case strings.HasPrefix(t.rest, "[:"):
			end := strings.Index(t.rest, ":]")
			if end < 0 {
				return errors.New("[: without :]")
			}
			if class, ok := classes[t.rest[2:end]]; ok {
				t.b.WriteString(class)
				t.rest = t.rest[end+2:]
				continue
			}
			t.copy(end + 2)
		case t.rest[0] == '[':
			t.b.WriteString(`\[`)
			t.rest = t.rest[1:]
		default:
			t.copy(1)
		}
	}
	return errors.New("[ without ]")
}

// escape translates a backslash and what belongs to it.
func (t *translation) escape(inBracket bool) error {
	r, size := utf8.DecodeRuneInString(t.rest[1:])
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	switch {
	case size == 0:
		return errors.New(`a lone backslash at the end: write \\`)
	case r >= utf8.RuneSelf:
		t.b.WriteRune(r)
	case !letter:
		t.b.WriteString(t.rest[:2])
	case r == 's' && inBracket:
		t.b.WriteString(`\v\s`)
	case r == 's':
		t.b.WriteString(`[\v\s]`)
	case r == 'S' && !inBracket:
		t.b.WriteString(`[^\v\s]`)
	case r == 'w' && inBracket:
		t.b.WriteString(word)
	case r == 'w':
		t.b.WriteString("[" + word + "]")
	case r == 'W' && !inBracket:
		t.b.WriteString("[^" + word + "]")
	case strings.ContainsRune("dDafnrtv", r):
		t.b.WriteString(t.rest[:2])
	case r == 'b': // backspace, not a word's boundary
		t.b.WriteString(`\x08`)
	case r == 'B': // one more name of the backslash
		t.b.WriteString(`\\`)
	case r == 'e':
		t.b.WriteString(`\x1b`)
	case inBracket:
		return fmt.Errorf(`\%c is not supported in []`, r)
	case r == 'y':
		t.b.WriteString(`\b`)
	case r == 'Y':
		t.b.WriteString(`\B`)
	case r == 'A':
		t.b.WriteString(`\A`)
	case r == 'Z':
		t.b.WriteString(`\z`)
	case r == 'm' || r == 'M':
		return fmt.Errorf(`\%c is not supported: \y is the boundary of a word`, r)
	default:
		return fmt.Errorf(`\%c is not supported: write the character itself`, r)
	}
	t.rest = t.rest[1+size:]
	return nil
}
