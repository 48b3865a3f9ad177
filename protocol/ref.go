package protocol

// Ref is a ref or join_ref: the JSON value as it stood on the wire, to be echoed verbatim (some
// clients send numbers). The empty Ref is null.
type Ref string

// StringRef returns the Ref of a JSON string.
func StringRef(s string) Ref {
	return Ref(appendString(make([]byte, 0, len(s)+2), s))
}

// Text returns the ref as a binary frame carries it: a string without its quotes, any other value
// as its JSON text.
func (r Ref) Text() string {
	if len(r) == 0 || r[0] != '"' {
		return string(r)
	}
	s, err := unquote([]byte(r))
	if err != nil {
		return string(r)
	}
	return s
}

// rawRef turns a scanned JSON value into a Ref.
func rawRef(value []byte) Ref {
	if string(value) == "null" {
		return ""
	}
	return Ref(value)
}

func appendRef(dst []byte, r Ref) []byte {
	if r == "" {
		return append(dst, "null"...)
	}
	return append(dst, r...)
}
