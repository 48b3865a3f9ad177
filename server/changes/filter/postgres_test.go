package filter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// columns are the types of the table: declared as, named in pg_type, and literals in which equal values
// have several spellings and unequal ones are close.
var columns = []struct {
	sql, typ string
	literals []string
}{
	{"text", "text", texts},
	{"varchar(20)", "varchar", texts},
	{"char(4)", "bpchar", []string{"", "a", "a  ", "ab", "aB", "é", "b\t", "100%", "a_b"}},
	{"name", "name", []string{"", "a", "A", "ab", "aB", "_", "a%b", "Z", "~"}}, // its collation is C: ASCII only
	{"citext", "citext", texts},
	{`"char"`, "char", []string{"a", "B", "", "%"}},
	{"int2", "int2", []string{"0", "-1", "7", "10", "9", "-32768", "32767"}},
	{"int4", "int4", []string{"0", "-1", " 7", "10", "9", "2147483647"}},
	{"int8", "int8", []string{"0", "-10", "-9", "9223372036854775807", "-9223372036854775808", "10"}},
	{"oid", "oid", []string{"0", "4294967295", "10", "9"}},
	{"float4", "float4", []string{"0", "-0", "0.1", "1e10", "-Infinity", "inf", "nan", "1.10", "16777217", "1e-45"}},
	{"float8", "float8", []string{"0", "-0", "0.1", "1e300", "-1e300", "-infinity", "Infinity", "NaN", "1.10", "5e-324", "9007199254740993"}},
	{"numeric", "numeric", []string{"0", "-0.0", "1", "1.0", "1.00", "-1.5", "-1.50", "9.99", "10", "1e30", "1e-30", "NaN", "Infinity", "-Infinity", "123456789012345678901234567890.1", "123456789012345678901234567890.10"}},
	{"numeric(10,2)", "numeric", []string{"1", "1.005", "-3.1", "99"}},
	{"bool", "bool", []string{"true", "no", "t", "0"}},
	{"uuid", "uuid", []string{"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc999c0b4ef8bb6d6bb9bd380a11", "00000000-0000-0000-0000-000000000000", "{ffffffff-ffff-4fff-8fff-ffffffffffff}"}},
	{"bytea", "bytea", []string{"", `\x00`, `\xFF`, "abc", `\x616263`, `\x6162`}},
	{"date", "date", []string{"2026-06-13", "13 Jun 2026", "0044-03-15 BC", "0001-01-01", "0001-12-31 BC", "12026-01-01", "2024-02-29", "2024-03-01", "infinity", "-infinity", "5874897-12-31", "4714-11-24 BC"}},
	{"time", "time", []string{"00:00", "24:00", "14:03:07.412", "14:03:07.4120", "2:03 PM", "14:03:07.000001"}},
	{"timetz", "timetz", []string{"14:00+02", "12:00+00", "12:00-00", "00:00-05:30", "24:00+00", "12:00:00.5+15:59:59"}},
	{"timestamp", "timestamp", []string{"2026-06-13 14:03:07", "2026-06-13T14:03:07.000", "2026-06-13", "0044-03-15 12:00 BC", "0044-03-15 11:00 BC", "0001-12-31 23:59:59.999999 BC", "0001-01-01", "infinity", "-infinity", "294276-12-31 23:59:59.999999", "4713-01-01 BC"}},
	{"timestamptz", "timestamptz", []string{"2026-06-13 14:03:07+02", "2026-06-13 12:03:07Z", "2026-06-13 12:03:07.1-00", "0044-03-15 12:00 BC", "12026-01-01", "infinity", "-infinity", "2000-01-01 00:00+14"}},
	{"interval", "interval", []string{"0", "1 day", "24:00", "30 days", "1 mon", "1 year", "360 days", "-1 day +24:00", "-1 mon 30 days", "1 year 2 mons -3 days 04:05:06.789", "-00:00:00.000001", "178000000 years", "2562047788:00:54.775807", "-1 year"}},
	{"inet", "inet", []string{"10.0.0.1", "10.0.0.1/32", "10.0.0.1/24", "::1", "::1/128", "::1/64"}},
	{"cidr", "cidr", []string{"10.0.0.0/8", "10.0.0.1", "::1"}},
	{"macaddr", "macaddr", []string{"08:00:2b:01:02:03", "08-00-2B-01-02-03", "ff:00:00:00:00:00"}},
	{"money", "money", []string{"1", "1.00", "$1,000"}},
	{"jsonb", "jsonb", []string{"1", "1.0", `{"a": 1.50, "b": [0, -0.0]}`, `{"b":[0,0],"a":1.5}`, `"1.0"`, `"1"`, "null", `"\"1"`, `["-", -1]`, "[]", `{"a":2}`}},
	{"json", "json", []string{"{}"}},
	{"mood", "mood", []string{"happy", "sad", "so so"}},
	{"xid", "xid", []string{"7", "8"}},
	{"varbit", "varbit", []string{"10", "1", ""}},
	{"int4range", "int4range", []string{"[1,5]", "[1,6)", "empty", "(,)"}},
	{"numrange", "numrange", []string{"[1.0,2)", "[1,2.00)", "[1,2]", "(,2)", "empty"}},
	{"tstzrange", "tstzrange", []string{"[2026-01-01,)", "[2026-01-01 01:00+01,)"}},
	{"int4[]", "_int4", []string{"{}", "{1,2}", "[0:1]={1,2}", "{{1,2}}", "{1,NULL}"}},
	{"text[]", "_text", []string{"{}", `{a,"b c"}`, `{"a","b c"}`, `{A,"b c"}`, `{NULL}`, `{"NULL"}`}},
	{"bool[]", "_bool", []string{"{t,f}", "{true,false}"}},
	{"numeric[]", "_numeric", []string{"{1.0,NaN}", "{1,NaN}", "{-1.50,NULL}", "{-1.5,NULL}", "{}"}},
	{"float8[]", "_float8", []string{"{0,1e300}", "{-0,1e300}", "{NaN,-Infinity}"}},
	{"inet[]", "_inet", []string{"{10.0.0.1}", "{10.0.0.1/32}"}},
	{"tsvector", "tsvector", []string{"fat rat", "rat fat", "'fat':1"}},
	{"point", "point", []string{"(1,2)"}},
	{"circle", "circle", []string{"<(1,2),3>"}},
	{"interval[]", "_interval", []string{"{1 day}"}},
}

var (
	texts       = []string{"", "a", "A", "ab", "aB", "abc", "b", "é", "É", "aé", "_", "%", "a%b", `a\b`, "a\nb", "Z", "~", "🌹", "Ωmega ωMEGA", " a ", "5-a"}
	likes       = []string{"a", "A", "b", "é", "É", "%", "_", `\%`, `\_`, `\\`, "%", "🌹", " "}
	expressions = []string{"", "a", "^a", "b$", "^a.b$", "[[:alpha:]]", "[^a-c]", `\d`, `\w`, `\W`, "[[:alnum:]_]", "[^[:upper:]]", "[[:lower:]]b", `[\W]`, `\yab\y`, `\Aa`, `b\Z`, "a|é", "(a)(b)", "(?:a|b)+", "a{1,2}", "^$", `\\`, "[]a]", `[\s]`, "É", `\s`, "(?i)AB", "(?c)AB", "🌹", `[\w]`, "^a?b*?", `\S`, `\%`, `[a[]`, `\Yb`}
)

const tables = `CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy');
	SET DateStyle = ISO; SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = hex; SET IntervalStyle = postgres`

// database is a connection that answers in text.
type database struct{ conn *pgconn.PgConn }

func open(t *testing.T) *database {
	t.Helper()
	d := &database{pgtest.Start(t).Connect(t, "postgres").PgConn()}
	if _, err := d.conn.Exec(context.Background(), tables).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *database) query(sql string, args ...*string) ([][][]byte, error) {
	params := make([][]byte, len(args))
	for i, arg := range args {
		if arg != nil {
			params[i] = []byte(*arg)
		}
	}
	result := d.conn.ExecParams(context.Background(), sql, params, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, fmt.Errorf("%s: %w", sql, result.Err)
	}
	return result.Rows, nil
}

func (d *database) canonical(typ, literal string) (string, error) {
	rows, err := d.query(fmt.Sprintf("SELECT $1::%s::text", pgx.Identifier{typ}.Sanitize()), &literal)
	if err != nil {
		return "", err
	}
	return string(rows[0][0]), nil
}

// where writes a condition in SQL, with its values as parameters.
func where(c Condition, typ string, args *[]*string) string {
	param := func(value, cast string) string {
		*args = append(*args, &value)
		return fmt.Sprintf("$%d::%s", len(*args), cast)
	}
	quotedType := pgx.Identifier{typ}.Sanitize()
	column := pgx.Identifier{c.Column}.Sanitize()
	symbols := map[Operator]string{Eq: "=", Neq: "<>", Lt: "<", Lte: "<=", Gt: ">", Gte: ">=", Like: "LIKE", ILike: "ILIKE", Match: "~", IMatch: "~*", IsDistinct: "IS DISTINCT FROM"}
	var sql string
	switch c.Operator {
	case Is:
		sql = column + " IS " + c.Value
	case In:
		var values []string
		for _, v := range c.Values {
			values = append(values, param(v, quotedType))
		}
		if c.Null {
			values = append(values, "NULL")
		}
		sql = column + " IN (" + strings.Join(values, ", ") + ")"
		if len(values) == 0 {
			sql = "1 = ANY ('{}')" // of whatever type: nothing is in it
		}
	case Like, ILike, Match, IMatch:
		sql = column + " " + symbols[c.Operator] + " " + param(c.Value, "text")
	case Lt, Lte, Gt, Gte:
		if slices.Contains(matchable, typ) {
			column += ` COLLATE "C"`
		}
		fallthrough
	default:
		sql = column + " " + symbols[c.Operator] + " " + param(c.Value, quotedType)
	}
	if c.Not {
		return "NOT (" + sql + ")"
	}
	return "(" + sql + ")"
}

// TestAgainstPostgreSQL holds Match to the same conditions in a WHERE clause.
func TestAgainstPostgreSQL(t *testing.T) {
	d := open(t)
	var definitions, names []string
	typeOf := map[string]string{}
	for i, c := range columns {
		name := fmt.Sprintf("c%d", i)
		typeOf[name] = c.typ
		names = append(names, name)
		definitions = append(definitions, name+" "+c.sql)
	}
	if _, err := d.query("CREATE TABLE guests (id int, " + strings.Join(definitions, ", ") + ")"); err != nil {
		t.Fatal(err)
	}
	column := func(name string) (string, bool) { typ, ok := typeOf[name]; return typ, ok }

	var compared, some int
	rapid.Check(t, func(t *rapid.T) {
		if _, err := d.query("TRUNCATE guests"); err != nil {
			t.Fatal(err)
		}
		// Every literal of every column at least once, and NULL where a column has fewer than others.
		longest := 22
		offset := rapid.IntRange(0, longest).Draw(t, "offset")
		var tuples []string
		var args []*string
		for id := range longest {
			tuple := []string{fmt.Sprint(id)}
			for _, c := range columns {
				at := (id + offset) % longest
				if at >= len(c.literals) {
					tuple = append(tuple, "NULL")
					continue
				}
				args = append(args, &c.literals[at])
				tuple = append(tuple, fmt.Sprintf("$%d::%s", len(args), c.sql))
			}
			tuples = append(tuples, "("+strings.Join(tuple, ", ")+")")
		}
		if _, err := d.query("INSERT INTO guests VALUES "+strings.Join(tuples, ", "), args...); err != nil {
			t.Fatal(err)
		}
		rows, err := d.query("SELECT " + strings.Join(names, ", ") + ", id FROM guests ORDER BY id")
		if err != nil {
			t.Fatal(err)
		}
		for range 80 {
			conditions := drawConditions(t)
			// Through text and back, as a client's would come.
			conditions, err := Parse(String(conditions))
			if err != nil {
				t.Fatal(err)
			}
			p, err := Compile(conditions, column, d.canonical)
			if err != nil {
				continue // TestOperatorsOfTypes says which must not be refused
			}
			var args []*string
			clauses := []string{"true"}
			for _, c := range conditions {
				clauses = append(clauses, where(c, typeOf[c.Column], &args))
			}
			want, err := d.query("SELECT id FROM guests WHERE "+strings.Join(clauses, " AND ")+" ORDER BY id", args...)
			if err != nil {
				t.Fatalf("%s: compiles, but PostgreSQL says: %v", String(conditions), err)
			}
			var wanted, got []string
			for _, row := range want {
				wanted = append(wanted, string(row[0]))
			}
			for _, row := range rows {
				if p.Match(func(column string) (string, bool, bool) {
					value := row[slices.Index(names, column)]
					return string(value), value == nil, true
				}) {
					got = append(got, string(row[len(row)-1]))
				}
			}
			compared++
			if len(got) > 0 && len(got) < len(rows) {
				some++
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				for _, row := range rows {
					t.Logf("%s: %s", row[len(row)-1], row[slices.Index(names, conditions[0].Column)])
				}
				t.Fatalf("%s on %s (-PostgreSQL +ours):\n%s", String(conditions), typeOf[conditions[0].Column], diff)
			}
		}
	})
	t.Logf("compared %d filters, %d of them with some rows and not all", compared, some)
	if some < compared/4 {
		t.Error("the filters say too little: give columns and literals that meet")
	}
}

func drawConditions(t *rapid.T) []Condition {
	conditions := make([]Condition, rapid.SampledFrom([]int{1, 1, 1, 1, 2, 3}).Draw(t, "conditions"))
	for i := range conditions {
		at := rapid.IntRange(0, len(columns)-1).Draw(t, "column")
		c := Condition{
			Column:   fmt.Sprintf("c%d", at),
			Not:      rapid.Bool().Draw(t, "not"),
			Operator: rapid.SampledFrom(operators).Draw(t, "operator"),
		}
		literal := rapid.SampledFrom(columns[at].literals)
		switch c.Operator {
		case In:
			c.Values = rapid.SliceOfN(literal, 0, 4).Draw(t, "values")
			c.Null = rapid.SampledFrom([]bool{false, false, true}).Draw(t, "null")
		case Is:
			c.Value = rapid.SampledFrom([]string{"null", "true", "false", "unknown"}).Draw(t, "value")
		case Like, ILike:
			c.Value = strings.Join(rapid.SliceOfN(rapid.SampledFrom(likes), 0, 5).Draw(t, "pattern"), "")
		case Match, IMatch:
			c.Value = rapid.SampledFrom(expressions).Draw(t, "expression")
		default:
			c.Value = literal.Draw(t, "value")
		}
		conditions[i] = c
	}
	return conditions
}

// TestOperatorsOfTypes holds the table of which type has which operator to PostgreSQL's own: nothing that
// it refuses compiles, and what it takes and we refuse stands here.
func TestOperatorsOfTypes(t *testing.T) {
	d := open(t)
	noOrder := []string{"inet", "cidr", "money", "jsonb", "mood", "varbit", "int4range", "numrange", "tstzrange", "tsvector", "_int4", "_text", "_bool", "_numeric", "_float8", "_inet"}
	stricter := map[string][]Operator{
		"bytea":     {Like},                                      // on bytes
		"char":      {Like, ILike, Match, IMatch},                // by way of text
		"circle":    {Eq, Neq, In, IsDistinct, Lt, Lte, Gt, Gte}, // by area
		"_interval": {Eq, Neq, In, IsDistinct, Lt, Lte, Gt, Gte}, // two spellings of one value
		"point":     {Neq},                                       // which has no =
	}
	for _, typ := range noOrder {
		stricter[typ] = []Operator{Lt, Lte, Gt, Gte}
	}
	for _, column := range columns {
		for _, operator := range operators {
			values := []string{column.literals[0]}
			switch operator {
			case Is:
				values = []string{"null", "true", "unknown"}
			case Like, ILike, Match, IMatch:
				values = []string{"a"}
			}
			for _, value := range values {
				c := Condition{Column: "c", Operator: operator, Value: value}
				if operator == In {
					c.Values, c.Value = []string{value}, ""
				}
				var args []*string
				_, sqlErr := d.query(fmt.Sprintf("SELECT c FROM (SELECT NULL::%s AS c) x WHERE %s", column.sql, where(c, column.typ, &args)), args...)
				_, err := Compile([]Condition{c}, func(string) (string, bool) { return column.typ, true }, d.canonical)
				switch known := slices.Contains(stricter[column.typ], operator); {
				case sqlErr == nil && err == nil && !known, sqlErr != nil && err != nil, sqlErr == nil && err != nil && known:
				default:
					t.Errorf("%s on %s: %v, but PostgreSQL: %v", c, column.typ, err, sqlErr)
				}
			}
		}
	}
}
