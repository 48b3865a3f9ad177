package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxDepth bounds how deep JSON may nest. It is the bound of encoding/json, so that whatever a
// scanner here accepts can be unmarshalled there.
const maxDepth = 10_000

var (
	errEnd   = errors.New("JSON ends too early")
	errDepth = fmt.Errorf("JSON nests deeper than %d", maxDepth)
)

func errAt(i int, b []byte, want string) error {
	if i >= len(b) {
		return errEnd
	}
	return fmt.Errorf("unexpected %q at byte %d, want %s", b[i], i, want)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// scanValue returns the end of the JSON value that begins at b[i], having checked its syntax. It
// does not recurse: a hostile frame cannot grow the stack of its socket's goroutine.
func scanValue(b []byte, i int) (int, error) {
	var nest nesting
	var err error
	for {
		// A value begins at i.
		if i >= len(b) {
			return i, errEnd
		}
		switch c := b[i]; c {
		case '{':
			i = skipSpace(b, i+1)
			if i < len(b) && b[i] == '}' {
				i++
				break
			}
			if !nest.push(true) {
				return i, errDepth
			}
			if i, err = scanKey(b, i); err != nil {
				return i, err
			}
			continue
		case '[':
			i = skipSpace(b, i+1)
			if i < len(b) && b[i] == ']' {
				i++
				break
			}
			if !nest.push(false) {
				return i, errDepth
			}
			continue
		default:
			if i, err = scanScalar(b, i); err != nil {
				return i, err
			}
		}
		// A value ended before i: close what it closes, go on to its sibling.
		for {
			if nest.depth == 0 {
				return i, nil
			}
			i = skipSpace(b, i)
			if i >= len(b) {
				return i, errEnd
			}
			inObject := nest.top()
			if b[i] == ',' {
				i = skipSpace(b, i+1)
				if inObject {
					if i, err = scanKey(b, i); err != nil {
						return i, err
					}
				}
				break
			}
			if (inObject && b[i] != '}') || (!inObject && b[i] != ']') {
				return i, errAt(i, b, "a comma or the end of an object or array")
			}
			nest.depth--
			i++
		}
	}
}

// nesting is the stack of open objects and arrays, one bit each. The first 64 cost no memory.
type nesting struct {
	depth int
	first uint64
	more  []uint64
}

func (n *nesting) push(object bool) bool {
	if n.depth == maxDepth {
		return false
	}
	word := &n.first
	if k := n.depth/64 - 1; k >= 0 {
		if k == len(n.more) {
			n.more = append(n.more, 0)
		}
		word = &n.more[k]
	}
	bit := uint64(1) << (n.depth % 64)
	if object {
		*word |= bit
	} else {
		*word &^= bit
	}
	n.depth++
	return true
}

func (n *nesting) top() (object bool) {
	d := n.depth - 1
	word := n.first
	if k := d/64 - 1; k >= 0 {
		word = n.more[k]
	}
	return word>>(d%64)&1 == 1
}

// scanKey returns where the value of the member that begins at b[i] begins.
func scanKey(b []byte, i int) (int, error) {
	if i >= len(b) || b[i] != '"' {
		return i, errAt(i, b, "a key")
	}
	i, err := scanString(b, i)
	if err != nil {
		return i, err
	}
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != ':' {
		return i, errAt(i, b, "a colon")
	}
	return skipSpace(b, i+1), nil
}

func scanScalar(b []byte, i int) (int, error) {
	switch c := b[i]; {
	case c == '"':
		return scanString(b, i)
	case c == '-' || (c >= '0' && c <= '9'):
		return scanNumber(b, i)
	case c == 't':
		return scanWord(b, i, "true")
	case c == 'f':
		return scanWord(b, i, "false")
	case c == 'n':
		return scanWord(b, i, "null")
	}
	return i, errAt(i, b, "a JSON value")
}

func scanWord(b []byte, i int, word string) (int, error) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, errAt(i, b, word)
	}
	return i + len(word), nil
}

// scanString returns the end of the string whose opening quote is b[i].
func scanString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c < 0x20:
			return i, errAt(i, b, "an escaped control character")
		case c == '\\':
			i++
			if i >= len(b) {
				return i, errEnd
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for k := 1; k <= 4; k++ {
					if i+k >= len(b) || !isHex(b[i+k]) {
						return i, errAt(i+k, b, "a hexadecimal digit")
					}
				}
				i += 4
			default:
				return i, errAt(i, b, "an escape")
			}
		}
	}
	return i, errEnd
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func scanNumber(b []byte, i int) (int, error) {
	if b[i] == '-' {
		i++
	}
	var err error
	if i < len(b) && b[i] == '0' {
		i++
	} else if i, err = scanDigits(b, i); err != nil {
		return i, err
	}
	if i < len(b) && b[i] == '.' {
		if i, err = scanDigits(b, i+1); err != nil {
			return i, err
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return scanDigits(b, i)
	}
	return i, nil
}

func scanDigits(b []byte, i int) (int, error) {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return i, errAt(i, b, "a digit")
	}
	return i, nil
}

// isObject says whether a scanned value is a JSON object.
func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

// validObject checks that b is one JSON object and nothing else.
func validObject(b []byte) error {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return errAt(i, b, "an object")
	}
	return validValue(b)
}

// validValue checks that b is one JSON value and nothing else.
func validValue(b []byte) error {
	i, err := scanValue(b, skipSpace(b, 0))
	if err != nil {
		return err
	}
	if i = skipSpace(b, i); i < len(b) {
		return errAt(i, b, "nothing more")
	}
	return nil
}

// unquote returns the text of a scanned JSON value that must be a string.
func unquote(value []byte) (string, error) {
	if len(value) < 2 || value[0] != '"' {
		return "", errors.New("not a JSON string")
	}
	text, err := unescape(value)
	if err != nil {
		return "", err
	}
	return intern(text), nil
}

// unescape returns the text of a scanned JSON string: a slice of it, unless it has escapes.
func unescape(quoted []byte) ([]byte, error) {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return nil, fmt.Errorf("reading a JSON string: %w", err)
	}
	return []byte(s), nil
}
