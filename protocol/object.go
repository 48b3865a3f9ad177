package protocol

// object walks the members of a JSON object. Keys and values are slices of the input.
type object struct {
	b []byte
	i int
}

// openObject stands before the first member of the object that b begins with.
func openObject(b []byte) (object, error) {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return object{}, errAt(i, b, "an object")
	}
	return object{b, i + 1}, nil
}

// next returns the next member; a nil value is the end of the object, checked up to its brace.
func (o *object) next() (key, value []byte, err error) {
	i := skipSpace(o.b, o.i)
	if i < len(o.b) && o.b[i] == '}' {
		o.i = i
		return nil, nil, nil
	}
	from := i
	if i, err = scanKey(o.b, i); err != nil {
		return nil, nil, err
	}
	quoted, _ := scanString(o.b, from) // scanKey has been over it
	if key, err = unescape(o.b[from:quoted]); err != nil {
		return nil, nil, err
	}
	end, err := scanValue(o.b, i)
	if err != nil {
		return nil, nil, err
	}
	value = o.b[i:end:end]
	o.i = skipSpace(o.b, end)
	switch {
	case o.i < len(o.b) && o.b[o.i] == ',':
		o.i = skipSpace(o.b, o.i+1)
		if o.i < len(o.b) && o.b[o.i] == '}' {
			return nil, nil, errAt(o.i, o.b, "a key")
		}
	case o.i >= len(o.b) || o.b[o.i] != '}':
		return nil, nil, errAt(o.i, o.b, "a comma or the end of an object")
	}
	return key, value, nil
}
