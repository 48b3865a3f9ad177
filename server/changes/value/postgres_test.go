package value

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// samples are literals by SQL type: everything that PostgreSQL has built in, at its edges.
var samples = []struct {
	typ      string
	literals []string
}{
	{"bool", []string{"true", "false"}},
	{"int2", []string{"0", "-32768", "32767"}},
	{"int4", []string{"-2147483648", "2147483647"}},
	{"int8", []string{"-9223372036854775808", "9223372036854775807"}},
	{"oid", []string{"0", "4294967295"}},
	{"float4", []string{"0", "-0", "1.5", "3.4028235e+38", "1e-45", "NaN", "Infinity", "-Infinity"}},
	{"float8", []string{"0", "-0", "-1.25", "0.1", "1e100", "1e-300", "1.7976931348623157e+308", "5e-324", "123456789012345680", "NaN", "Infinity", "-Infinity"}},
	{"numeric", []string{"0", "-0", "1.50", "-0.00001", "12345678901234567890123456789.000", "1e100", "1e-100", "NaN", "Infinity", "-Infinity"}},
	{"numeric(1000,900)", []string{"1", "-1e-900"}},
	{"money", []string{"0", "1234.56", "-1234.56"}},
	{"text", []string{"", "rose", `"quoted" \ back`, "line\nfeed\ttab\r\b\f\x01\x1f\x7f", "élan 🌹 \u2028", "NULL", "{a,b}", "t", "12"}},
	{"varchar(5)", []string{"rose", ""}},
	{"char(5)", []string{"ab", ""}},
	{"bpchar", []string{"ab  "}},
	{"name", []string{"name"}},
	{`"char"`, []string{"x", `\`}},
	{"bytea", []string{"", `\x00ff10`, "abc"}},
	{"uuid", []string{"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}},
	{"json", []string{"null", "1", `{"b": 1, "a": [1, 2.50, null]}`, "{ \"x\" :\n\"\\u0041\\n\" }", `"text"`}},
	{"jsonb", []string{"null", "1", "1.0", `{"b": 1, "aa": {"c": [true, "x\ny"]}}`, `[]`, `"a\\\"b"`, "1e50"}},
	{"date", []string{"2026-06-13", "0044-03-15 BC", "5874897-12-31", "12026-01-02", "infinity", "-infinity"}},
	{"time", []string{"14:03:07.412", "00:00", "24:00:00"}},
	{"timetz", []string{"14:03:07.412+02", "00:00-05:30", "12:00:00+00"}},
	{"timestamp", []string{"2026-06-13 14:03:07.412", "2026-06-13", "0044-03-15 12:00 BC", "12026-01-02 03:04:05.000001", "294276-12-31 23:59:59.999999", "infinity", "-infinity"}},
	{"timestamptz", []string{"2026-06-13 14:03:07.412+02", "2026-06-13", "0044-03-15 12:00 BC", "12026-01-02 03:04:05-05:30", "infinity", "-infinity"}},
	{"interval", []string{"1 year 2 mons -3 days 04:05:06.789", "0", "-1 day", "P1Y", "1 mon"}},
	{"inet", []string{"192.168.0.1", "192.168.0.1/24", "::1", "fe80::1/64"}},
	{"cidr", []string{"10.0.0.0/8", "::/0"}},
	{"macaddr", []string{"08:00:2b:01:02:03"}},
	{"macaddr8", []string{"08:00:2b:01:02:03:04:05"}},
	{"point", []string{"(1,2.5)"}},
	{"line", []string{"{1,2,3}"}},
	{"lseg", []string{"[(1,2),(3,4)]"}},
	{"box", []string{"(3,4),(1,2)"}},
	{"path", []string{"((1,2),(3,4))", "[(1,2)]"}},
	{"polygon", []string{"((1,2),(3,4))"}},
	{"circle", []string{"<(1,2),3>"}},
	{"bit(4)", []string{"1010"}},
	{"varbit", []string{"", "10"}},
	{"xml", []string{"<a>1 &lt; 2</a>"}},
	{"tsvector", []string{"'a':1A 'fat':2"}},
	{"tsquery", []string{"fat & rat"}},
	{"int4range", []string{"[1,5)", "empty", "(,)"}},
	{"numrange", []string{"[1.0,2.50]"}},
	{"tsrange", []string{"[2026-01-01,2026-02-01)"}},
	{"tstzrange", []string{"[2026-01-01,)"}},
	{"daterange", []string{"[2026-01-01,infinity]"}},
	{"int8range", []string{"(1,9]"}},
	{"int4multirange", []string{"{[1,3),[5,7)}", "{}"}},
	{"nummultirange", []string{"{[1.0,3.5)}"}},
	{"pg_lsn", []string{"16/B374D848"}},
	{"xid", []string{"7"}},
	{"xid8", []string{"18446744073709551615"}},
	{"cid", []string{"7"}},
	{"tid", []string{"(1,2)"}},
	{"regclass", []string{"pg_type"}},
	{"int2vector", []string{"1 2 3", ""}},
	{"oidvector", []string{"1 2 3"}},
	{"jsonpath", []string{"$.a"}},
	{"pg_snapshot", []string{"10:20:10,14"}},
	{"mood", []string{"happy", "so so", "NULL"}},
	{"citext", []string{"Rose"}},
	{"email", []string{"a@b.c"}},
	{"small", []string{"1"}},
	{"tags", []string{"{a,b}"}},

	{"bool[]", []string{"{t,f,NULL}", "{}"}},
	{"int2[]", []string{"{1,NULL,-3}"}},
	{"int4[]", []string{"{}", "{1,2,3}", "{{1,2},{3,4}}", "[2:3]={1,2}", "[-1:0][5:6]={{1,2},{3,4}}", "{{{{{{1}}}}}}", "{NULL,NULL}"}},
	{"int8[]", []string{"{9223372036854775807}"}},
	{"oid[]", []string{"{1}"}},
	{"float4[]", []string{"{1.5,NaN,-Infinity,NULL}"}},
	{"float8[]", []string{"{1e100,NaN,Infinity,-0}"}},
	{"numeric[]", []string{"{1.50,NaN,-Infinity,1e30}"}},
	{"money[]", []string{`{"$1,234.56",-1}`}},
	{"text[]", []string{"{}", `{a,NULL,"NULL",null,"","a b","a,b","{x}","\"q\" \\ b",é,"line\nfeed"}`, `{{a,"b,c"},{NULL,"}"}}`, "[0:0]={x}"}},
	{"varchar[]", []string{"{a,b}"}},
	{"char(3)[]", []string{"{a,b}"}},
	{"name[]", []string{"{a,b}"}},
	{`"char"[]`, []string{"{a,b}"}},
	{"bytea[]", []string{`{"\\x00ff","\\x"}`}},
	{"uuid[]", []string{"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"}},
	{"json[]", []string{`{"{\"a\": [1, \"x\\\\y\"]}",null,"null",1}`}},
	{"jsonb[]", []string{`{"{\"a\": [1, \"x\\\\y\"]}",null,"null",1}`}},
	{"date[]", []string{"{2026-06-13,infinity,\"0044-03-15 BC\"}"}},
	{"time[]", []string{"{14:03:07}"}},
	{"timetz[]", []string{"{14:03:07+02}"}},
	{"timestamp[]", []string{`{"2026-06-13 14:03:07",infinity}`}},
	{"timestamptz[]", []string{`{"2026-06-13 14:03:07+02",-infinity,"0044-03-15 12:00 BC"}`}},
	{"interval[]", []string{`{"1 day 02:00","1 year"}`}},
	{"inet[]", []string{"{10.0.0.1,::1/64}"}},
	{"point[]", []string{`{"(1,2)","(3,4)"}`}},
	{"box[]", []string{"{(3,4),(1,2);(7,8),(5,6)}"}},
	{"int4range[]", []string{`{"[1,5)",empty}`}},
	{"mood[]", []string{`{happy,"so so","NULL",NULL}`}},
	{"citext[]", []string{"{Rose}"}},
	{"email[]", []string{"{a@b.c,NULL}"}},
	{"_odd", []string{"{a", "b"}},
}

const types = `CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('happy', 'so so', 'NULL'); CREATE TYPE _odd AS ENUM ('{a', 'b');
	CREATE DOMAIN email AS text CHECK (value LIKE '%@%'); CREATE DOMAIN small AS int2; CREATE DOMAIN tags AS text[]; CREATE TYPE pair AS (a int, b text)`

// TestAgainstToJSONB holds Append to what PostgreSQL itself makes of each sample, but for the exponents of
// floats, which are compared as numbers.
func TestAgainstToJSONB(t *testing.T) {
	conn := pgtest.Start(t).Connect(t, "postgres").PgConn()
	query := func(sql string) []*pgconn.Result {
		t.Helper()
		results, err := conn.Exec(context.Background(), sql).ReadAll() // simple protocol: text forms, as in the WAL
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return results
	}
	query(types)
	query(`SET DateStyle = ISO; SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = hex; SET IntervalStyle = postgres`)
	// compare asks for a value's text form, its to_jsonb and the name of its type.
	compare := func(t interface{ Errorf(string, ...any) }, typ, literal string) {
		row := query(fmt.Sprintf(`SELECT v, to_jsonb(v), (SELECT coalesce(b.typname, t.typname) FROM pg_type t LEFT JOIN pg_type b ON b.oid = t.typbasetype WHERE t.oid = o)
			FROM (SELECT v, pg_typeof(v)::oid AS o FROM (SELECT %s::%s AS v) x) y`, quoted(literal), typ))[0].Rows[0]
		got := Append([]byte("before"), string(row[2]), row[0])
		got, ok := bytes.CutPrefix(got, []byte("before"))
		if !ok || !json.Valid(got) {
			t.Errorf("%s %q: %s is no JSON", typ, literal, got)
			return
		}
		if diff := cmp.Diff(decode(row[1]), decode(got), cmp.Comparer(sameNumber)); diff != "" {
			t.Errorf("%s %q as %s (-to_jsonb +ours):\n%s", typ, literal, row[2], diff)
		}
	}
	for _, s := range samples {
		for _, literal := range s.literals {
			compare(t, s.typ, literal)
		}
	}

	// A composite is a string here, as documented.
	row := query(`SELECT ROW(1, 'a "b"')::pair`)[0].Rows[0]
	if got := string(Append(nil, "pair", row[0])); got != `"(1,\"a \"\"b\"\"\")"` {
		t.Errorf("composite: %s", got)
	}

	t.Run("arrays of any text", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			elements := rapid.SliceOf(rapid.StringOfN(rapid.RuneFrom([]rune("ab {}\",\\NUL\n\t;é🌹")), 0, 6, -1)).Draw(t, "elements")
			parts := make([]string, len(elements))
			for i, e := range elements {
				parts[i] = `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(e) + `"`
			}
			compare(t, "text[]", "{"+strings.Join(parts, ",")+"}")
		})
	})
	t.Run("any jsonb", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			text, err := json.Marshal(rapid.MapOf(rapid.StringMatching(`[a-c"\\]{0,3}`), rapid.SliceOf(rapid.StringMatching(`[a-zé\n]{0,3}`))).Draw(t, "document"))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "jsonb", string(text))
			compare(t, "jsonb[]", `{"`+strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(string(text))+`"}`)
		})
	})
}

func quoted(literal string) string {
	return "'" + strings.ReplaceAll(literal, "'", "''") + "'"
}

func decode(text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err.Error()
	}
	return v
}

func sameNumber(a, b json.Number) bool {
	x, okX := new(big.Rat).SetString(string(a))
	y, okY := new(big.Rat).SetString(string(b))
	return okX && okY && x.Cmp(y) == 0
}
