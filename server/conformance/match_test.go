package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// match compares what was expected, which may hold placeholders, with what came. It binds names that
// are not bound yet, and says where the first difference is.
func match(want, got any, names map[string]string) error {
	return matchAt("", want, got, names)
}

func matchAt(path string, want, got any, names map[string]string) error {
	differ := func() error { return fmt.Errorf("%s is %s, want %s", place(path), show(got), show(want)) }
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return differ()
		}
		return matchObject(path, want, g, names)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return differ()
		}
		for i := range want {
			if err := matchAt(fmt.Sprintf("%s[%d]", path, i), want[i], g[i], names); err != nil {
				return err
			}
		}
		return nil
	case string:
		if kind, ok := kinds[want]; ok {
			if !kind(got) {
				return differ()
			}
			return nil
		}
		g, ok := got.(string)
		if number, isNumber := got.(json.Number); isNumber {
			if m := numberName.FindStringSubmatch(want); m != nil {
				name := "#" + m[1] // a number is never taken for the text of its digits
				if m[2] != "" {
					names[name] = number.String()
				}
				ok = names[name] == number.String()
			}
			if !ok {
				return differ()
			}
			return nil
		}
		if !ok || !matchText(want, g, names) {
			return differ()
		}
		return nil
	}
	if want != got {
		return differ()
	}
	return nil
}

func matchObject(path string, want, got map[string]any, names map[string]string) error {
	_, open := want[more]
	seen := map[string]bool{}
	for key, w := range want {
		if key == more {
			continue
		}
		g, ok := got[key]
		for other, value := range got { // a key may be a placeholder, too
			if !ok && len(want) == 1 && matchText(key, other, names) {
				key, g, ok = other, value, true
			}
		}
		if !ok {
			return fmt.Errorf("%s has no key %q: %s", place(path), key, show(got))
		}
		seen[key] = true
		if err := matchAt(path+"."+key, w, g, names); err != nil {
			return err
		}
	}
	for key := range got {
		if !open && !seen[key] {
			return fmt.Errorf("%s has a key %q too much: %s", place(path), key, show(got))
		}
	}
	return nil
}

// more, as a key of an expected object, allows for others.
const more = "..."

// kinds are the placeholders that stand for a whole value.
var kinds = map[string]func(any) bool{
	"<object>":   func(v any) bool { _, ok := v.(map[string]any); return ok },
	"<any list>": func(v any) bool { _, ok := v.([]any); return ok },
	"<string>":   func(v any) bool { _, ok := v.(string); return ok },
	"<number>":   func(v any) bool { _, ok := v.(json.Number); return ok },
}

// patterns are the placeholders that stand for a part of a text.
var patterns = map[string]string{
	"n":    `-?\d+`,
	"uuid": `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"any":  `(?s:.*)`,
	"ref":  `[A-Za-z0-9_-]{16}`, // of a presence
	"time": `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z`,
}

// numberName is <name=number>, which binds a number, or <name>, which stands for one.
var numberName = regexp.MustCompile(`^<(\w+)(=number)?>$`)

var placeholder = regexp.MustCompile(`<(?:(\w+)=)?(\w+)>`)

func matchText(want, got string, names map[string]string) bool {
	var expr strings.Builder
	var binds []string
	from := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		kind := want[m[4]:m[5]]
		bound, isName := names[kind]
		pattern, isPattern := patterns[kind]
		if !isName && !isPattern {
			continue // angle brackets of its own
		}
		expr.WriteString(regexp.QuoteMeta(want[from:m[0]]))
		from = m[1]
		switch {
		case isName:
			expr.WriteString(regexp.QuoteMeta(bound))
		case m[2] >= 0:
			binds = append(binds, want[m[2]:m[3]])
			expr.WriteString("(" + pattern + ")")
		default:
			expr.WriteString(pattern)
		}
	}
	if from == 0 {
		return want == got
	}
	expr.WriteString(regexp.QuoteMeta(want[from:]))
	found := regexp.MustCompile(`\A` + expr.String() + `\z`).FindStringSubmatch(got)
	if found == nil {
		return false
	}
	for i, name := range binds {
		names[name] = found[i+1]
	}
	return true
}

func place(path string) string {
	if path == "" {
		return "it"
	}
	return strings.TrimPrefix(path, ".")
}

func show(v any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}

// parse reads one JSON value; numbers stay as they are written.
func parse(text string) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, fmt.Errorf("%.200q is not JSON: %w", text, err)
	}
	if decoder.More() {
		return nil, fmt.Errorf("%.200q is more than one JSON value", text)
	}
	return v, nil
}

// A matcher that takes everything would make every case pass.
func TestMatchTellsTheDifference(t *testing.T) {
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{`{"a":1,"b":[true,null]}`, `{"b":[true,null],"a":1}`, true},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`{"a":1}`, `{"a":1.0}`, false},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{"a":1,"b":2}`, `{"a":1}`, false},
		{`{"a":1,"...":0}`, `{"a":1,"b":2}`, true},
		{`{"a":1,"...":0}`, `{"b":2}`, false},
		{`{}`, `{"a":1}`, false},
		{`{"<n>":1}`, `{"17":1}`, true},
		{`{"<n>":1}`, `{"17":2}`, false},
		{`{"<n>":1}`, `{"x":1}`, false},
		{`{"<n>":1}`, `{"17":1,"18":1}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`[1]`, `[1,1]`, false},
		{`{}`, `[]`, false},
		{`null`, `{}`, false},
		{`"<object>"`, `{"x":1}`, true},
		{`"<object>"`, `"<object>"`, false},
		{`"<number>"`, `7`, true},
		{`"<number>"`, `"7"`, false},
		{`"expired <n> seconds ago"`, `"expired 12 seconds ago"`, true},
		{`"expired <n> seconds ago"`, `"expired some seconds ago"`, false},
		{`"expired <n> seconds"`, `"expired 12 seconds ago"`, false},
		{`"a <b> c"`, `"a <b> c"`, true},
		{`["<x=ref>","<x>"]`, `["GM3kQ0v7hL2aXw1c","GM3kQ0v7hL2aXw1c"]`, true},
		{`["<x=ref>","<x>"]`, `["GM3kQ0v7hL2aXw1c","GM3kQ0v7hL2aXw1d"]`, false},
		{`["<x=ref>"]`, `["short"]`, false},
		{`["<x=number>","<x>"]`, `[17,17]`, true},
		{`["<x=number>","<x>"]`, `[17,18]`, false},
		{`["<x=number>","<x>"]`, `[17,"17"]`, false},
		{`["<x>"]`, `[17]`, false},
	} {
		want, wantErr := parse(c.want)
		got, gotErr := parse(c.got)
		if wantErr != nil || gotErr != nil {
			t.Fatal(wantErr, gotErr)
		}
		if err := match(want, got, map[string]string{}); (err == nil) != c.same {
			t.Errorf("%s and %s: %v", c.want, c.got, err)
		}
	}
	if _, err := parse(`{} {}`); err == nil {
		t.Error("two values were taken for one")
	}
}
