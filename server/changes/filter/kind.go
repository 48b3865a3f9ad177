package filter

import (
	"fmt"
	"slices"
	"strings"
)

// kind is how the text form of a type is compared.
type kind int

const (
	exact      kind = iota // equal texts are equal values; no order
	bytewise               // and the order of the bytes is that of the values
	padded                 // bytewise without the blanks at the end: character(n)
	folded                 // bytewise without case: citext
	integer                // int64
	float32bit             // real
	float64bit             // double precision
	numeric                // decimal, of any length
	boolean                // t or f; false is less
	moment                 // dates, times and intervals: see moment.go
	address                // exact without a mask that says nothing: inet
	decimals               // exact but for numbers, compared as such: see decimal.go
)

// kinds holds the types that are not exact, by their names in pg_type.
var kinds = map[string]kind{
	"text": bytewise, "varchar": bytewise, "name": bytewise, "char": bytewise,
	"uuid": bytewise, "bytea": bytewise, "macaddr": bytewise, "macaddr8": bytewise,
	"bpchar": padded, "citext": folded,
	"int2": integer, "int4": integer, "int8": integer, "oid": integer,
	"float4": float32bit, "float8": float64bit, "numeric": numeric, "bool": boolean,
	"date": moment, "time": moment, "timetz": moment, "timestamp": moment, "timestamptz": moment, "interval": moment,
	"inet":  address,
	"jsonb": decimals, "numrange": decimals, "nummultirange": decimals, "_numeric": decimals, "_float4": decimals, "_float8": decimals,
}

// unequal holds the types whose values PostgreSQL does not compare at all, or by something else than what
// they are (circles by area), and arrays of elements that may be equal in two spellings.
var unequal = []string{
	"json", "xml", "jsonpath", "point", "line", "lseg", "box", "path", "polygon", "circle", "txid_snapshot", "pg_snapshot", "refcursor",
	"_json", "_xml", "_point", "_line", "_lseg", "_box", "_path", "_polygon", "_circle", "_jsonpath",
	"_bpchar", "_citext", "_interval", "_jsonb", "_numrange", "_nummultirange",
}

// matchable are the types with patterns.
var matchable = []string{"text", "varchar", "bpchar", "name", "citext"}

// check says whether a type has the operator of a condition.
func check(c Condition, typ string) error {
	k := kinds[typ]
	switch c.Operator {
	case Eq, Neq, In, IsDistinct:
		if slices.Contains(unequal, typ) {
			return fmt.Errorf("values of type %s are not compared here: use is.null or not.is.null", typ)
		}
	case Lt, Lte, Gt, Gte:
		if slices.Contains(unequal, typ) {
			return fmt.Errorf("type %s has no order here: use is", typ)
		}
		if k == exact || k == address || k == decimals {
			return fmt.Errorf("type %s has no order here: use eq, neq, in, is", typ)
		}
	case Like, ILike, Match, IMatch:
		if !slices.Contains(matchable, typ) {
			return fmt.Errorf("operator %s requires a text-compatible column type, got %s: use eq, neq, in, is", c.Operator, typ)
		}
		if len(c.Value) > maxPattern {
			return fmt.Errorf("the pattern has %d bytes: use at most %d", len(c.Value), maxPattern)
		}
	case Is:
		if c.Value != "null" && k != boolean {
			return fmt.Errorf("is.%s requires a column of type bool, got %s: use is.null, not.is.null or eq", c.Value, typ)
		}
	default:
		return fmt.Errorf("there is no operator %s: use one of %s", c.Operator, known())
	}
	return nil
}

// operand is a value made ready for comparisons.
type operand struct {
	text   string
	at     instant // integer, boolean, moment
	number float64 // float32bit, float64bit
}

// read makes a value of a type ready; false if it is none, which no healthy database hands out.
func (k kind) read(typ, text string) (o operand, ok bool) {
	o.text, ok = text, true
	switch k {
	case padded:
		o.text = strings.TrimRight(text, " ")
	case integer:
		o.at.minor, ok = parseInteger(text)
	case float32bit:
		o.number, ok = parseFloat(text, 32)
	case float64bit:
		o.number, ok = parseFloat(text, 64)
	case numeric:
		ok = isNumeric(text)
	case boolean:
		// The values of rows are t and f, those of casts to text are words.
		isTrue := text == "t" || text == "true"
		ok = isTrue || text == "f" || text == "false"
		if isTrue {
			o.at.minor = 1
		}
	case moment:
		o.at, ok = parseMoment(typ, text)
	case address:
		o.text = withoutHostMask(text)
	}
	return o, ok
}

// compare orders two values of a kind; of kinds without order it says only whether they are equal.
func (k kind) compare(a, b operand) int {
	switch k {
	case folded:
		return compareFolded(a.text, b.text)
	case integer, boolean, moment:
		return a.at.compare(b.at)
	case float32bit, float64bit:
		return compareFloats(a.number, b.number)
	case numeric:
		return compareNumeric(a.text, b.text)
	case decimals:
		return compareDecimals(a.text, b.text)
	}
	return strings.Compare(a.text, b.text)
}

// withoutHostMask undoes what a cast to text adds to the address of a single host.
func withoutHostMask(text string) string {
	mask := "/32"
	if strings.IndexByte(text, ':') >= 0 {
		mask = "/128"
	}
	return strings.TrimSuffix(text, mask)
}
