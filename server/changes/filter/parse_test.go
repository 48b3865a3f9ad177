package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	eq := func(column, value string) Condition { return Condition{Column: column, Operator: Eq, Value: value} }
	in := func(column string, values ...string) Condition {
		return Condition{Column: column, Operator: In, Values: values}
	}
	for text, want := range map[string][]Condition{
		"":                               nil,
		" \n ":                           nil,
		"id=eq.5":                        {eq("id", "5")},
		"id=gt.0,id=lt.100":              {{Column: "id", Operator: Gt, Value: "0"}, {Column: "id", Operator: Lt, Value: "100"}},
		" id=eq.5 , name=eq.a b ":        {eq("id", "5"), eq("name", "a b")},
		"id=not.eq.5":                    {{Column: "id", Not: true, Operator: Eq, Value: "5"}},
		"note=not.is.null":               {{Column: "note", Not: true, Operator: Is, Value: "null"}},
		"price=eq.1.50":                  {eq("price", "1.50")},
		"note=eq.":                       {eq("note", "")},
		"note=eq.a=b":                    {eq("note", "a=b")},
		`note=eq."a,b",id=eq.1`:          {eq("note", "a,b"), eq("id", "1")},
		`note=eq."say \"hi\" \\ bye"`:    {eq("note", `say "hi" \ bye`)},
		`note=eq.""`:                     {eq("note", "")},
		`size=eq.5",id=eq.1`:             {eq("size", `5"`), eq("id", "1")}, // quotes open a value or nothing
		`note=eq."a"b`:                   {eq("note", `"a"b`)},              // and enclose it as a whole, or are a part of it
		`note=eq."a`:                     {eq("note", `"a`)},
		`note=eq."a\"`:                   {eq("note", `"a\"`)},
		"a=eq.x),b=eq.y),c=eq.z":         {eq("a", "x)"), eq("b", "y)"), eq("c", "z")},
		"a=eq.f(x,y),b=eq.z":             {eq("a", "f(x,y)"), eq("b", "z")},
		"weight (kg=eq.5,b=eq.1":         {eq("weight (kg", "5"), eq("b", "1")},
		"id=in.(1,2,3),s=eq.x":           {in("id", "1", "2", "3"), eq("s", "x")},
		"id=in.()":                       {in("id")},
		"id=in.( )":                      {in("id")},
		`s=in.( a b , "c,d" ,e\,f\ ,"")`: {in("s", "a b", "c,d", "e,f ", "")},
		`s=in.("a)",b)`:                  {in("s", "a)", "b")},
		`s=in.("\"",b)`:                  {in("s", `"`, "b")},
		`s=in.(NULL,"NULL",\null)`:       {{Column: "s", Operator: In, Values: []string{"NULL", "null"}, Null: true}},
		"id=not.in.(1)":                  {{Column: "id", Not: true, Operator: In, Values: []string{"1"}}},
		`s=like.a\%b%`:                   {{Column: "s", Operator: Like, Value: `a\%b%`}},
	} {
		got, err := Parse(text)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

// Each error begins with what the original server says behind "Error parsing `filter` params: ".
func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"wrong":              `["wrong"]: write column=operator.value`,
		"undefined":          `["undefined"]: write column=operator.value`,
		"id=5":               `["5"]: no operator and value`,
		"=eq.5":              `["=eq.5"]: no column`,
		"subject=foo.hey":    `["foo", "hey"]: there is no operator foo: use one of eq, neq,`,
		"id=not.not.eq.5":    `["not", "eq.5"]: there is no operator not`,
		"id=gt.0,":           "filter must not contain empty segments (check for extra commas)",
		",id=gt.0":           "filter must not contain empty segments",
		"a=eq.1,,b=eq.2":     "filter must not contain empty segments",
		"id=gt.0,oops,b=eq.": `["oops"]`,
		"id=is.maybe":        "must be null, true, false, or unknown",
		"id=is.NULL":         "must be null, true, false, or unknown",
		"id=in.1":            "`in` filter value must be wrapped by parentheses",
		"id=in.(":            "`in` filter value must be wrapped by parentheses",
		"id=in.(1,,2)":       "an empty value in the list",
		"id=in.(1,)":         "an empty value in the list",
		`id=in.("a"b)`:       "text behind a closing quote",
		`id=in.(a"b)`:        `" within a value`,
		"id=in.({1},{2})":    "{ within a value",
		`id=in.(")`:          "a quote in the list is not closed",
		`id=in.(a\)`:         "a lone backslash",
		"id=eq.a\x00":        "NUL",
		"id=eq.\xff":         "UTF-8",
		"id=in.(" + strings.Repeat("1,", 100) + "1)": "Maximum 100",
		strings.Repeat("a=eq.1,", 100) + "a=eq.1":    "more than 100 conditions",
	} {
		if got, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, %v, want %s", text, got, err, want)
		}
	}
	if _, err := Parse("id=in.(" + strings.Repeat("1,", 99) + "1)"); err != nil {
		t.Error(err)
	}
}

// Whatever conditions a program makes, their text says the same.
func TestStringIsReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab ,.()\"\\{}é=\t\u00a0")), 0, 8, -1)
		var want []Condition
		for i := range rapid.IntRange(0, 4).Draw(t, "conditions") {
			c := Condition{
				Column:   fmt.Sprintf("c%d", i),
				Not:      rapid.Bool().Draw(t, "not"),
				Operator: rapid.SampledFrom(operators).Draw(t, "operator"),
			}
			switch c.Operator {
			case In:
				c.Values = rapid.SliceOf(rapid.OneOf(text, rapid.Just("null"))).Draw(t, "values")
				c.Null = rapid.Bool().Draw(t, "null")
			case Is:
				c.Value = rapid.SampledFrom([]string{"null", "true", "false", "unknown"}).Draw(t, "value")
			default:
				c.Value = text.Draw(t, "value")
			}
			want = append(want, c)
		}
		got, err := Parse(String(want))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%s: %v (-want +got):\n%s", String(want), err, diff)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "id=eq.5", "id=not.in.(1,\"2\",NULL)", `a=eq."x,\"y",b=like.%z_`, "a=eq.x),b=eq.y", "n=is.null", "=", "a=in.()", `a."b=eq.c`,
		`a=eq."`, `a=in.("`, `a=in.(\`, "wéi rd=imatch.^a|b$", "a(=eq.1,b=eq.2",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		conditions, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(String(conditions))
		if diff := cmp.Diff(conditions, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%q, written as %q: %v (-first +again):\n%s", text, String(conditions), err, diff)
		}
	})
}
