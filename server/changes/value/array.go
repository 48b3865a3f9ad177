package value

import "bytes"

// maxDimensions is PostgreSQL's own limit.
const maxDimensions = 6

// appendArray writes {1,NULL,"a b"} as JSON. It returns false if the text is no array, as that of a type
// whose name happens to begin with an underscore.
func appendArray(dst []byte, element string, text []byte) ([]byte, bool) {
	a := array{dst: dst, rest: withoutBounds(text), element: element, delimiter: ','}
	if element == "box" {
		a.delimiter = ';'
	}
	ok := a.dimension(1) && len(a.rest) == 0
	return a.dst, ok
}

// withoutBounds takes the [2:3][0:1]= off an array whose indexes do not begin with 1.
func withoutBounds(text []byte) []byte {
	if len(text) > 0 && text[0] == '[' {
		if bounds, rest, ok := bytes.Cut(text, []byte("=")); ok && len(bytes.Trim(bounds, "[]0123456789:-")) == 0 {
			return rest
		}
	}
	return text
}

// appendVector writes the older arrays of the catalog, 1 2 3.
func appendVector(dst []byte, element string, text []byte) []byte {
	dst = append(dst, '[')
	for i, field := range bytes.Fields(text) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = Append(dst, element, field)
	}
	return append(dst, ']')
}

// array is an array while it is read.
type array struct {
	dst, rest []byte
	element   string
	delimiter byte
	unquoted  []byte // scratch
}

// take steps over a byte if it comes next.
func (a *array) take(c byte) bool {
	if len(a.rest) == 0 || a.rest[0] != c {
		return false
	}
	a.rest = a.rest[1:]
	return true
}

// dimension reads {…} with its elements, or with the dimension below.
func (a *array) dimension(depth int) bool {
	if depth > maxDimensions || !a.take('{') {
		return false
	}
	a.dst = append(a.dst, '[')
	if a.take('}') {
		a.dst = append(a.dst, ']')
		return true
	}
	for {
		ok := false
		switch {
		case len(a.rest) == 0:
		case a.rest[0] == '{':
			ok = a.dimension(depth + 1)
		case a.take('"'):
			ok = a.quoted()
		default:
			ok = a.bare()
		}
		switch {
		case !ok:
			return false
		case a.take('}'):
			a.dst = append(a.dst, ']')
			return true
		case !a.take(a.delimiter):
			return false
		}
		a.dst = append(a.dst, ',')
	}
}

// bare reads an element without quotes.
func (a *array) bare() bool {
	end := 0
	for end < len(a.rest) && a.rest[end] != a.delimiter && a.rest[end] != '}' {
		if c := a.rest[end]; c == '{' || c == '"' || c == '\\' {
			return false
		}
		end++
	}
	text := a.rest[:end]
	a.rest = a.rest[end:]
	if string(text) == "NULL" {
		a.dst = append(a.dst, "null"...)
		return true
	}
	a.dst = Append(a.dst, a.element, text)
	return end > 0
}

// quoted reads an element behind its opening quote.
func (a *array) quoted() bool {
	a.unquoted = a.unquoted[:0]
	from := 0 // what is not in unquoted yet
	for i := 0; i < len(a.rest); i++ {
		switch a.rest[i] {
		case '\\':
			a.unquoted = append(a.unquoted, a.rest[from:i]...)
			i++
			from = i
		case '"':
			text := a.rest[from:i]
			if len(a.unquoted) > 0 || from > 0 {
				a.unquoted = append(a.unquoted, text...)
				text = a.unquoted
			}
			a.dst = Append(a.dst, a.element, text)
			a.rest = a.rest[i+1:]
			return true
		}
	}
	return false
}
