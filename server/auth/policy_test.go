package auth

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bearer makes claims as a Verifier does.
func bearer(t testing.TB, claims string) *Claims {
	t.Helper()
	values, err := decodeObject([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	role, _ := values["role"].(string)
	subject, _ := values["sub"].(string)
	return &Claims{Role: role, Subject: subject, Raw: json.RawMessage(claims), values: values}
}

func TestEmbeddedPolicies(t *testing.T) {
	for role, want := range map[string]bool{"anon": false, "authenticated": true, RoleService: true, "": true} {
		for _, topic := range []string{"wedding:42", "room", "a::b", ":", ""} {
			for _, act := range []Action{Read, Write} {
				for _, ext := range []Extension{Broadcast, Presence} {
					c := &Claims{Role: role}
					if got := DefaultPolicy()(c, topic, ext, act); got != want {
						t.Errorf("default, role %q, topic %q, %s %s: %v, want %v", role, topic, act, ext, got, want)
					}
					if !LocalPolicy()(c, topic, ext, act) {
						t.Errorf("local, role %q, topic %q, %s %s: refused", role, topic, act, ext)
					}
				}
			}
		}
	}
}

// The policy that a wedding platform would have: who gets what.
func TestWeddingPolicy(t *testing.T) {
	policy, err := LoadPolicy("testdata/wedding-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	people := map[string]*Claims{
		"platform":     bearer(t, `{"role":"service_role"}`),
		"visitor":      bearer(t, `{"role":"anon","app_metadata":{"weddings":["42"],"vendor_type":"planner"}}`),
		"couple":       bearer(t, `{"role":"authenticated","sub":"u1","app_metadata":{"weddings":["42"],"vendor_type":"couple"}}`),
		"planner":      bearer(t, `{"role":"authenticated","app_metadata":{"weddings":["42",43],"vendor_type":"planner"}}`),
		"florist":      bearer(t, `{"role":"authenticated","app_metadata":{"weddings":["42","44"],"vendor_type":"florist"}}`),
		"photographer": bearer(t, `{"role":"authenticated","app_metadata":{"weddings":"42","vendor_type":"photographer"}}`),
		"baker":        bearer(t, `{"role":"authenticated","app_metadata":{"weddings":["42"],"vendor_type":"baker"}}`),
		"venue":        bearer(t, `{"role":"authenticated","app_metadata":{"weddings":["42"],"vendor_type":"venue"}}`),
		"suspended":    bearer(t, `{"role":"authenticated","app_metadata":{"weddings":["42"],"vendor_type":"planner","suspended":true}}`),
		"newcomer":     bearer(t, `{"role":"authenticated"}`),
		"impostor":     bearer(t, `{"role":"authenticated","user_metadata":{"weddings":["42"],"vendor_type":"planner"}}`),
		"wild":         bearer(t, `{"role":"authenticated","app_metadata":{"weddings":["*","**","{claims.sub}","42:timeline",""],"vendor_type":"couple"}}`),
	}
	door := *people["venue"]
	door.Header = http.Header{"X-Device": {"door"}}
	people["door"] = &door

	all, read := "rb wb rp wp", "rb rp"
	for _, c := range []struct{ who, topic, may string }{
		{"platform", "anything:at:all", all},
		{"visitor", "wedding:42", ""},
		{"couple", "wedding:42", all}, {"couple", "wedding:42:vendor:florist", all}, {"couple", "wedding:43", ""}, {"couple", "wedding", ""},
		{"couple", "account:u1", read}, {"couple", "account:u2", ""},
		{"planner", "wedding:42", all}, {"planner", "wedding:43:budget:flowers", all}, {"planner", "wedding:44", ""}, {"planner", "wedding:", ""},
		{"florist", "wedding:42", ""}, {"florist", "wedding:42:vendor:florist", all}, {"florist", "wedding:44:vendor:florist", all},
		{"florist", "wedding:43:vendor:florist", ""}, {"florist", "wedding:42:vendor:baker", ""}, {"florist", "wedding:42:vendor:florist:private", ""},
		{"florist", "wedding:42:timeline", "rb rp wp"}, {"florist", "wedding:43:timeline", ""}, {"florist", "wedding:42:photos", ""}, {"florist", "wedding:42:guests", ""},
		{"florist", "account:", ""},
		{"photographer", "wedding:42:photos", all}, {"photographer", "wedding:42:photos:church", all}, {"photographer", "wedding:42:photos:church:raw", ""},
		{"photographer", "wedding:42:photos:", ""},
		{"baker", "wedding:42:guests", "rb"}, {"venue", "wedding:42:guests", "rb"}, {"door", "wedding:42:guests", "rb wb"},
		{"suspended", "wedding:42", ""}, {"newcomer", "wedding:42", ""}, {"newcomer", "wedding:42:vendor:", ""}, {"impostor", "wedding:42", ""},
		{"wild", "wedding:42", ""}, {"wild", "wedding:42:timeline", ""}, {"wild", "wedding::timeline", ""}, {"wild", "wedding:*", all},
	} {
		var may []string
		for _, ext := range []Extension{Broadcast, Presence} {
			for _, act := range []Action{Read, Write} {
				if policy(people[c.who], c.topic, ext, act) {
					may = append(may, string(act[0])+string(ext[0]))
				}
			}
		}
		if got := strings.Join(may, " "); got != c.may {
			t.Errorf("%s on %s may %q, want %q", c.who, c.topic, got, c.may)
		}
	}
}

// Claims that were not made by a Verifier are read from their text.
func TestClaimsByHand(t *testing.T) {
	policy, err := ParsePolicy([]byte(`rules: [{allow: read, roles: [authenticated], topics: ["wedding:{claims.wedding_id}"]}]`))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{`{"wedding_id":42}`: true, `{"wedding_id":"42"}`: true, `{"wedding_id":42.0}`: false, `{"wedding_id":null}`: false,
		`{"wedding_id":{"42":1}}`: false, `{"wedding_id":[[42]]}`: false, `{}`: false, `broken`: false, "": false} {
		if got := policy(&Claims{Role: "authenticated", Raw: json.RawMessage(text)}, "wedding:42", Broadcast, Read); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestFirstRuleDecides(t *testing.T) {
	policy, err := ParsePolicy([]byte(`
rules:
  - {deny: write, roles: "*", topics: "archive:**"}
  - {allow: [read, write], roles: "*", topics: ["archive:**", room], where: {level: [1, -2, "3.0", yes, true]}}
  - {deny: [read, write], roles: "*", topics: room}
  - {allow: read, roles: "*", topics: room}
  - {allow: read, roles: "*", topics: tea, headers: {X-Kitchen: [east, west], x-floor: "2"}}
`))
	if err != nil {
		t.Fatal(err)
	}
	kitchen := func(name, floor string) *Claims {
		return &Claims{Header: http.Header{"X-Kitchen": {name}, "X-Floor": {"1", floor}}}
	}
	for name, c := range map[string]struct {
		claims *Claims
		topic  string
		act    Action
		want   bool
	}{
		"denied above":       {bearer(t, `{"level":1}`), "archive:1", Write, false},
		"allowed below":      {bearer(t, `{"level":1}`), "archive:1", Read, true},
		"** wants a segment": {bearer(t, `{"level":1}`), "archive", Read, false},
		"negative number":    {bearer(t, `{"level":-2}`), "room", Read, true},
		"quoted number":      {bearer(t, `{"level":3.0}`), "room", Read, true},
		"other number":       {bearer(t, `{"level":3}`), "room", Read, false},
		"a word":             {bearer(t, `{"level":"yes"}`), "room", Write, true},
		"boolean":            {bearer(t, `{"level":true}`), "room", Write, true},
		"other boolean":      {bearer(t, `{"level":false}`), "room", Write, false},
		"list":               {bearer(t, `{"level":[9,1]}`), "room", Write, true},
		"no rule":            {bearer(t, `{"level":1}`), "elsewhere", Read, false},
		"headers":            {kitchen("west", "2"), "tea", Read, true},
		"other header":       {kitchen("south", "2"), "tea", Read, false},
		"one of two headers": {kitchen("west", "3"), "tea", Read, false},
		"no header":          {&Claims{}, "tea", Read, false},
	} {
		if got := policy(c.claims, c.topic, Broadcast, c.act); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Every mistake is named with its line, and says what to do.
func TestPolicyMistakes(t *testing.T) {
	rule := func(lines ...string) string {
		return "rules:\n  - allow: read\n    roles: [a]\n    topics: [b]\n" + strings.Join(lines, "\n")
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":             {"", "policy:1: the policy is empty"},
		"comments":          {"# nothing\n", "policy:1: the policy is empty"},
		"not YAML":          {"rules:\n\t- allow: read\n", "policy:2: this is not YAML"},
		"a word":            {"rules", `policy:1: the policy must be a mapping (key: value), it is "rules"`},
		"no rules":          {"{}", "policy:1: there are no rules"},
		"unknown":           {"rule: []\n", `policy:1: unknown key "rule"`},
		"rules empty":       {"rules: []\n", "policy:1: there are 0 rules"},
		"rules no list":     {"rules: {}\n", "policy:1: rules must be a list (each begins with -), it is a mapping"},
		"two documents":     {rule() + "---\nrules: []\n", "policy:5: a policy is one document"},
		"rule no mapping":   {"rules:\n  - allow\n", `policy:2: rules[0] must be a mapping (key: value), it is "allow"`},
		"key twice":         {rule("    roles: [c]"), `policy:5: "roles" is there twice in rules[0]`},
		"unknown in rule":   {rule("    role: c"), `policy:5: unknown key "role" in rules[0]: a rule has allow or deny, on, roles`},
		"allow and deny":    {rule("    deny: write"), "policy:2: rules[0] needs either allow: or deny:"},
		"nothing decided":   {"rules:\n  - {roles: a, topics: b}", "policy:2: rules[0] needs either allow: or deny:"},
		"no roles":          {"rules:\n  - {allow: read, topics: b}", "policy:2: rules[0] needs roles"},
		"no topics":         {"rules:\n  - {allow: read, roles: b}", "policy:2: rules[0] needs topics"},
		"unknown action":    {"rules:\n  - {allow: [read, join], roles: a, topics: b}", `rules[0].allow: "join" is not known: write read, write, or both`},
		"unknown extension": {rule("    on: postgres_changes"), `policy:5: rules[0].on: "postgres_changes" is not known: write broadcast, presence, or both`},
		"action twice":      {"rules:\n  - {allow: [read, read], roles: a, topics: b}", `rules[0].allow holds "read" twice`},
		"star and role":     {"rules:\n  - {allow: read, roles: [a, '*'], topics: b}", `rules[0].roles: "*" is every role: write it alone`},
		"empty list":        {"rules:\n  - {allow: read, roles: [], topics: b}", "rules[0].roles is an empty list"},
		"nothing":           {"rules:\n  - {allow: read, roles: , topics: b}", "rules[0].roles takes a text or a list of texts, here is nothing"},
		"empty text":        {"rules:\n  - {allow: read, roles: '', topics: b}", "rules[0].roles holds an empty text"},
		"list in list":      {"rules:\n  - {allow: read, roles: [[a]], topics: b}", "rules[0].roles takes a text or a list of texts, here is a list"},
		"tag":               {"rules:\n  - {allow: read, roles: !vendor a, topics: b}", "rules[0].roles: tags such as !vendor are not read"},
		"alias":             {"rules:\n  - {allow: read, roles: &r [a], topics: *r}", "rules[0].topics takes a text or a list of texts, here is an alias (*r)"},
		"part of a segment": {"rules:\n  - {allow: read, roles: a, topics: 'flor*'}", `policy:2: rules[0].topics: "flor*": a * stands alone between colons`},
		"** not last":       {"rules:\n  - {allow: read, roles: a, topics: '**:b'}", "** is all that is left of a topic: it can only be the last segment"},
		"three stars":       {"rules:\n  - {allow: read, roles: a, topics: '***'}", "a * stands alone between colons"},
		"empty segment":     {"rules:\n  - {allow: read, roles: a, topics: 'a::b'}", `"a::b" has an empty segment`},
		"part claim":        {"rules:\n  - {allow: read, roles: a, topics: 'w-{claims.id}'}", "a claim is a whole segment"},
		"other braces":      {"rules:\n  - {allow: read, roles: a, topics: 'w:{role}'}", "a claim is a whole segment"},
		"open brace":        {"rules:\n  - {allow: read, roles: a, topics: 'w:{claims.id'}", "a claim is a whole segment"},
		"no claim":          {"rules:\n  - {allow: read, roles: a, topics: 'w:{claims.}'}", `"" is not the path of a claim`},
		"claim path":        {rule("    where: {a..b: c}"), `policy:5: rules[0].where: "a..b" is not the path of a claim`},
		"where empty":       {rule("    where: {}"), "policy:5: rules[0].where is empty"},
		"where list":        {rule("    where: [a]"), "policy:5: rules[0].where must be a mapping"},
		"where null":        {rule("    where: {a: null}"), "policy:5: rules[0].where.a takes a text or a list of texts, here is nothing"},
		"float":             {rule("    where: {a: 1.50}"), "policy:5: rules[0].where: the number 1.50 can be written in several ways: put it in quotes"},
		"hexadecimal":       {rule("    where: {a: 0x10}"), "the number 0x10 can be written in several ways"},
		"header":            {rule("    headers: {Authorization: c}"), `policy:5: rules[0].headers: "Authorization" cannot be asked for: only headers that begin with x-`},
		"key is a list":     {"? [a]\n: b\n", "policy:1: a key of the policy must be a word, it is a list"},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := ParsePolicy([]byte(c.text))
			if err == nil || policy != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant …%s…", err, c.want)
			}
		})
	}
	// All at once, but not without end.
	_, err := ParsePolicy([]byte("rules:\n" + strings.Repeat("  - {permit: all}\n", 500)))
	if n := strings.Count(err.Error(), "\n"); n != maxMistakes || !strings.HasSuffix(err.Error(), "and more mistakes below") {
		t.Errorf("%d lines: %v", n, err)
	}
}

func TestLoadPolicy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if _, err := LoadPolicy(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	writeFile(t, path, []byte("rules: [{allow: read}]"))
	if _, err := LoadPolicy(path); err == nil || !strings.Contains(err.Error(), path+":1: rules[0] needs roles") {
		t.Errorf("a wrong file: %v", err)
	}
	if err := os.Truncate(path, maxPolicy+1); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPolicy(path); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("a huge file: %v", err)
	}
}
