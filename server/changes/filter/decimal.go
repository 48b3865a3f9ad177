package filter

import (
	"cmp"
	"math"
	"strconv"
	"strings"
)

func parseInteger(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

func parseFloat(text string, bits int) (float64, bool) {
	f, err := strconv.ParseFloat(text, bits)
	return f, err == nil
}

// compareFloats orders as PostgreSQL does: all NaN are equal and above everything else.
func compareFloats(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	}
	return cmp.Compare(a, b)
}

// isNumeric accepts what PostgreSQL prints: digits without exponent, or one of the three words.
func isNumeric(text string) bool {
	if _, rank := special(text); rank != 0 {
		return true
	}
	whole, fraction, dot := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	return whole != "" && digits(whole) && digits(fraction) && (!dot || fraction != "")
}

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// special ranks the values that are no numbers: -1 below all numbers, 1 and 2 above, 0 is none of them.
func special(text string) (word string, rank int) {
	switch text {
	case "-Infinity":
		return text, -1
	case "Infinity":
		return text, 1
	case "NaN":
		return text, 2
	}
	return "", 0
}

// compareNumeric compares two decimals of any length by their texts, without arithmetic.
func compareNumeric(a, b string) int {
	_, rankA := special(a)
	_, rankB := special(b)
	if rankA != 0 || rankB != 0 {
		return cmp.Compare(rankA, rankB)
	}
	wholeA, fractionA, signA := parts(a)
	wholeB, fractionB, signB := parts(b)
	if signA != signB {
		return cmp.Compare(signA, signB)
	}
	c := cmp.Compare(len(wholeA), len(wholeB))
	if c == 0 {
		c = strings.Compare(wholeA, wholeB)
	}
	if c == 0 {
		c = strings.Compare(fractionA, fractionB)
	}
	return c * signA
}

// parts splits a decimal into its significant digits before and behind the point, and its sign (0 for zero).
func parts(text string) (whole, fraction string, sign int) {
	text, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ = strings.Cut(text, ".")
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	switch {
	case whole == "" && fraction == "":
		return "", "", 0
	case negative:
		return whole, fraction, -1
	}
	return whole, fraction, 1
}

// compareDecimals says whether two texts of the same make (jsonb, numrange, arrays of numbers) are equal:
// byte by byte, but numbers outside of quotes as numbers, since 1.0 is 1. It returns 0 or not 0.
func compareDecimals(a, b string) int {
	quoted := false
	for a != "" && b != "" {
		if !quoted && startsNumber(a[0]) && startsNumber(b[0]) {
			numberA, numberB := number(a), number(b)
			if numberA != numberB && (!isNumeric(numberA) || !isNumeric(numberB) || compareNumeric(numberA, numberB) != 0) {
				return 1
			}
			a, b = a[len(numberA):], b[len(numberB):]
			continue
		}
		if a[0] != b[0] {
			return 1
		}
		switch {
		case quoted && a[0] == '\\' && len(a) > 1 && len(b) > 1:
			if a[1] != b[1] {
				return 1
			}
			a, b = a[1:], b[1:]
		case a[0] == '"':
			quoted = !quoted
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func startsNumber(c byte) bool { return c >= '0' && c <= '9' || c == '-' }

// number is the number at the beginning of a text, of whatever form.
func number(text string) string {
	end := 1
	for end < len(text) && (startsNumber(text[end]) || strings.IndexByte(".eE+", text[end]) >= 0) {
		end++
	}
	return text[:end]
}
