// Package value turns PostgreSQL's text form of a value into the JSON that clients of database changes
// receive: what to_jsonb(column) prints, and what the original server sends.
//
//	bool                        true, false
//	int2 int4 int8              a number
//	float4 float8 numeric       a number; NaN, Infinity and -Infinity as strings
//	json jsonb                  as it is
//	date timestamp timestamptz  a string in ISO 8601: "2026-06-13T14:03:07.412+00:00"
//	arrays                      an array of these, of as many dimensions; bounds like [2:3]= are dropped
//	everything else             a string of the text form: text, uuid, bytea (\x…), oid, enums, ranges, …
//
// The text form is the one of a session with DateStyle ISO, IntervalStyle postgres, TimeZone UTC,
// extra_float_digits 3 and bytea_output hex. Types are named as in pg_type, a domain by its base type.
//
// It differs from to_jsonb where the value is the same and the work is not: a float keeps its exponent
// (1e+100, not 101 digits), and json keeps its blanks and the order of its keys. Values of composite types
// are strings of their text form, (1,"a b"), as their fields' types are not known here. A type is an array
// if its name begins with _ and its text reads like one; only an enum can be made such that this errs.
package value

import (
	"bytes"
	"encoding/json"
)

// KeptBytes is the length up to which the values of a row that is too large (Error 413) are kept.
const KeptBytes = 64

// Fits says whether a value, as JSON, is kept in a row that is too large.
func Fits(value []byte) bool { return len(value) <= KeptBytes }

// Append appends the JSON of a value of a type. NULL is not a value: it has no text. Whatever the text is,
// what is appended is valid JSON in UTF-8: a text that its type does not have becomes a string.
func Append(dst []byte, typ string, text []byte) []byte {
	switch typ {
	case "bool":
		switch string(text) {
		case "t":
			return append(dst, "true"...)
		case "f":
			return append(dst, "false"...)
		}
	case "int2", "int4", "int8", "float4", "float8", "numeric":
		if string(text) == "-0" { // a float; numbers in JSON have no sign of zero
			return append(dst, '0')
		}
		if isNumber(text) {
			return append(dst, text...)
		}
	case "json", "jsonb":
		if json.Valid(text) {
			return appendUTF8(dst, text)
		}
	case "timestamp", "timestamptz":
		return appendTimestamp(dst, text)
	case "int2vector":
		return appendVector(dst, "int2", text)
	case "oidvector":
		return appendVector(dst, "oid", text)
	default:
		if len(typ) > 1 && typ[0] == '_' {
			if all, ok := appendArray(dst, typ[1:], text); ok {
				return all
			}
		}
	}
	return appendString(dst, text)
}

// isNumber says whether a text is a number of JSON.
func isNumber(text []byte) bool {
	i := 0
	digits := func() bool {
		start := i
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(text) && text[i] == '-' {
		i++
	}
	start := i
	if !digits() || text[start] == '0' && i > start+1 {
		return false
	}
	if i < len(text) && text[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(text)
}

// appendTimestamp writes 0044-03-15 12:00:00+00 BC as "0044-03-15T12:00:00+00:00 BC".
func appendTimestamp(dst, text []byte) []byte {
	date, clock, ok := bytes.Cut(text, []byte(" "))
	if !ok { // infinity
		return appendString(dst, text)
	}
	clock, bc := bytes.CutSuffix(clock, []byte(" BC"))
	dst = appendEscaped(append(dst, '"'), date)
	dst = appendEscaped(append(dst, 'T'), clock)
	if n := len(clock); n > 3 && (clock[n-3] == '+' || clock[n-3] == '-') {
		dst = append(dst, ":00"...)
	}
	if bc {
		dst = append(dst, " BC"...)
	}
	return append(dst, '"')
}
