package journal

import (
	"strconv"
	"unicode/utf8"
)

// Append appends the line of a record, with its newline.
func Append(dst []byte, r *Record) []byte {
	dst = append(dst, `{"e":"`...)
	dst = append(dst, r.Kind.String()...)
	dst = append(dst, '"')
	for _, k := range layouts[r.Kind] {
		if r.absent(k) {
			continue
		}
		dst = append(dst, keyText[k]...)
		switch {
		case k < kSchema:
			dst = strconv.AppendInt(dst, *r.integer(k), 10)
		case k < kSeed:
			dst = appendString(dst, *r.text(k))
		case k == kSeed:
			dst = strconv.AppendUint(dst, r.Seed, 10)
		case k == kSame:
			dst = strconv.AppendBool(dst, r.Same)
		case k == kReplayed:
			dst = append(dst, "true"...)
		case k == kOn:
			dst = strconv.AppendBool(dst, r.On)
		case k == kGot:
			dst = append(dst, '[')
			for i, us := range r.Got {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = strconv.AppendInt(dst, us, 10)
			}
			dst = append(dst, ']')
		case k == kHeld:
			dst = append(dst, '[')
			for i, s := range r.Held {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = appendString(dst, s)
			}
			dst = append(dst, ']')
		}
	}
	return append(dst, '}', '\n')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Each string has one spelling: only quotes, backslashes and control
// characters are escaped, and bytes that are not UTF-8 (a close reason may hold some) become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[from:i]...)
				dst = append(dst, "\uFFFD"...)
				from = i + 1
			}
			i += size
			continue
		}
		if c < ' ' || c == '"' || c == '\\' {
			dst = append(dst, s[from:i]...)
			if c < ' ' {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			} else {
				dst = append(dst, '\\', c)
			}
			from = i + 1
		}
		i++
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
