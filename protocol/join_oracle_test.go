package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// How lenient a join is read was settled when it was read with encoding/json. That way of reading lives on here, as
// what ParseJoin must agree with, errors and their order included.

func agree(t interface{ Fatalf(string, ...any) }, payload []byte) {
	got, gotErrs := ParseJoin(payload)
	want, wantErrs := oracleParseJoin(payload)
	if d := cmp.Diff(want, got) + cmp.Diff(said(wantErrs), said(gotErrs)); d != "" {
		t.Fatalf("%q (-want +got):\n%s", payload, d)
	}
}

func said(errs []error) (all []string) {
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}

func FuzzParseJoinAgrees(f *testing.F) {
	for _, seed := range odd {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) { agree(t, payload) })
}

// odd are payloads at the edges of what is accepted.
var odd = []string{
	``, ` `, ` null `, `null`, `{}`, ` {} `, `{}x`, `{} {}`, `{`, `{"config":{}`, `{"config":{},}`, `[]`, `"x"`, `7`, "\x00",
	`{"version":"1","version":"2"}`, `{"version":"1","version":null}`, `{"user_token":"u","access_token":"a"}`, `{"user_token":"","access_token":"a"}`,
	`{"\u0063onfig":{"private":true}}`, `{"Config":{"private":true}}`, `{"config" : {"private"
	: tRUE}}`, `{"config":{"private":"\u0074rue"}}`, `{"config":{"private":"TrUe"}}`, `{"config":{"private":"FALſE"}}`, `{"config":{"private":"\"true"}}`,
	`{"version":"a\u00e9\ud83d\ude00\ud800"}`, "{\"version\":\"\xff\xff\"}", "{\"config\":{\"presence\":{\"key\":\"\xff\"}}}", `{"version":"a` + "\n" + `b"}`,
	`{"config":{"presence":{"key":{ "a" : [1, 2] }}}}`, `{"config":{"presence":{"key":""}}}`, `{"config":{"presence":{"key":true}}}`,
	`{"config":{"postgres_changes":[ { "a":1 } , null,[], 1,"x",{}]}}`, `{"config":{"postgres_changes":[]}}`, `{"config":{"postgres_changes":{}}}`, `{"config":{"postgres_changes":[1,]}}`,
	`{"config":{"broadcast":{"replay":{}}}}`, `{"config":{"broadcast":{"replay":{"since":-0,"limit":1e3}}}}`, `{"config":{"broadcast":{"replay":{"since":9223372036854775808}}}}`,
	`{"config":{"broadcast":[]},"config":{"private":true}}`, `{"config":{"postgres_changes_options":{"wait":true,"timeout":"1"}}}`,
	`{"config":{"wedsync":{"homes":99,"second":"true","confirms":true,"move":"True","resume":{}}}}`, `{"config":{"wedsync":{"homes":-1,"resume":{"hlc":"-1"}}}}`, `{"config":{"wedsync":{"resume":{"hlc":"7","last_id":7,"returning":1}}}}`,
	`{"config":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":tru}`, `{"a":"\x"}`, `{"a":"\u12"}`,
}

// Joins that are right in form and wrong in places, which fuzzing seldom makes.
func TestParseJoinAgrees(t *testing.T) {
	for _, payload := range odd {
		agree(t, []byte(payload))
	}
	keys := []string{"config", "access_token", "user_token", "version", "private", "broadcast", "ack", "self", "replication_ready", "replay",
		"since", "limit", "presence", "enabled", "key", "postgres_changes", "postgres_changes_options", "wait", "timeout", "wedsync",
		"receipts", "confirms", "move", "homes", "second", "resume", "hlc", "last_id", "returning", "other"}
	scalars := []string{"null", "true", "false", `"true"`, `"FALSE"`, `""`, `"x"`, `"7"`, `"a\"b"`, `"\u00e9"`, "0", "-1", "7", "1.5", "1e3", "99999999999999999999"}
	var value func(t *rapid.T, depth int) string
	value = func(t *rapid.T, depth int) string {
		space := rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space")
		kind := rapid.IntRange(0, 4).Draw(t, "kind")
		if depth == 0 || kind == 0 {
			return space + rapid.SampledFrom(scalars).Draw(t, "scalar") + space
		}
		var parts []string
		for range rapid.IntRange(0, 4).Draw(t, "parts") {
			part := value(t, depth-1)
			if kind > 1 {
				part = fmt.Sprintf("%s%q%s:%s", space, rapid.SampledFrom(keys).Draw(t, "key"), space, part)
			}
			parts = append(parts, part)
		}
		if kind == 1 {
			return "[" + strings.Join(parts, ",") + "]"
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	// The right places are found more often if half of the objects have the right keys.
	shaped := func(t *rapid.T) string {
		object := func(names ...string) string {
			var parts []string
			for _, name := range names {
				if rapid.Bool().Draw(t, name) {
					parts = append(parts, fmt.Sprintf("%q:%s", name, value(t, 1)))
				}
			}
			return "{" + strings.Join(parts, ",") + "}"
		}
		return fmt.Sprintf(`{"access_token":%s,"user_token":%s,"version":%s,"config":{"private":%s,"broadcast":{"ack":%s,"self":%s,"replication_ready":%s,"replay":%s},`+
			`"presence":%s,"postgres_changes":[%s,%s],"postgres_changes_options":%s,"wedsync":{"receipts":%s,"confirms":%s,"move":%s,"homes":%s,"resume":%s}}}`,
			value(t, 1), value(t, 1), value(t, 1), value(t, 0), value(t, 1), value(t, 1), value(t, 1), object("since", "limit"),
			object("enabled", "key"), value(t, 2), value(t, 2), object("wait", "timeout"), value(t, 0), value(t, 1), value(t, 0), value(t, 0), object("hlc", "last_id", "returning"))
	}
	rapid.Check(t, func(t *rapid.T) {
		payload := []byte(value(t, 4))
		if rapid.Bool().Draw(t, "shaped") {
			payload = []byte(shaped(t))
		}
		agree(t, payload)
		if at := rapid.IntRange(0, len(payload)).Draw(t, "cut"); rapid.Bool().Draw(t, "broken") {
			agree(t, payload[:at])
		}
	})
}

// joinOfStock is what @supabase/realtime-js sends, with a token of ordinary length.
var joinOfStock = []byte(`{"config":{"broadcast":{"ack":false,"self":false},"presence":{"key":"","enabled":false},"postgres_changes":[],"private":true},"access_token":"` +
	strings.Repeat("eyJhbGciOiJIUzI1", 16) + `","version":"realtime-js/2.119.1"}`)

func BenchmarkParseJoin(b *testing.B) {
	for name, payload := range map[string][]byte{"empty": (&Join{}).Append(nil), "stock": joinOfStock} {
		for way, parse := range map[string]func([]byte) (Join, []error){"scanner": ParseJoin, "oracle": oracleParseJoin} {
			b.Run(name+"/"+way, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, errs := parse(payload); errs != nil {
						b.Fatal(errs)
					}
				}
			})
		}
	}
}

// oracleParseJoin is ParseJoin on encoding/json.
func oracleParseJoin(payload []byte) (Join, []error) {
	var j Join
	var r oracleReader
	top := r.object("payload", payload)
	j.AccessToken = r.text("access_token", top["access_token"])
	if user := r.text("user_token", top["user_token"]); user != "" {
		j.AccessToken = user
	}
	j.Version = r.text("version", top["version"])

	config := r.object("config", top["config"])
	j.Config.Private = r.boolean("config.private", config["private"])

	broadcast := r.object("config.broadcast", config["broadcast"])
	j.Config.Broadcast.Ack = r.boolean("config.broadcast.ack", broadcast["ack"])
	j.Config.Broadcast.Self = r.boolean("config.broadcast.self", broadcast["self"])
	j.Config.Broadcast.ReplicationReady = r.boolean("config.broadcast.replication_ready", broadcast["replication_ready"])
	if replay := r.object("config.broadcast.replay", broadcast["replay"]); replay != nil {
		j.Config.Broadcast.Replay = &Replay{
			Since: r.integer("config.broadcast.replay.since", replay["since"]),
			Limit: r.integer("config.broadcast.replay.limit", replay["limit"]),
		}
	}

	presence := r.object("config.presence", config["presence"])
	j.Config.Presence.Enabled = r.boolean("config.presence.enabled", presence["enabled"])
	j.Config.Presence.Key = oracleAnyText(presence["key"])

	j.Config.PostgresChanges = r.objects("config.postgres_changes", config["postgres_changes"])

	options := r.object("config.postgres_changes_options", config["postgres_changes_options"])
	if r.boolean("config.postgres_changes_options.wait", options["wait"]) {
		j.Config.PostgresChangesWait = defaultChangesWait
		if ms := r.integer("config.postgres_changes_options.timeout", options["timeout"]); ms != nil {
			j.Config.PostgresChangesWait = time.Duration(min(max(*ms, 1), maxChangesWait.Milliseconds())) * time.Millisecond
		}
	}

	wedsync := r.object("config.wedsync", config["wedsync"])
	j.Config.Wedsync.Receipts = r.boolean("config.wedsync.receipts", wedsync["receipts"])
	j.Config.Wedsync.Confirms = r.boolean("config.wedsync.confirms", wedsync["confirms"])
	j.Config.Wedsync.Move = r.boolean("config.wedsync.move", wedsync["move"])
	j.Config.Wedsync.Second = r.boolean("config.wedsync.second", wedsync["second"])
	if homes := r.integer("config.wedsync.homes", wedsync["homes"]); homes != nil {
		j.Config.Wedsync.Homes = int(min(max(*homes, 0), maxHomes))
	}
	if resume := r.object("config.wedsync.resume", wedsync["resume"]); resume != nil {
		j.Config.Wedsync.Resume = r.resume(resume)
	}
	return j, r.errs
}

type oracleReader struct{ errs []error }

func (r *oracleReader) fail(path, want string) {
	r.errs = append(r.errs, fmt.Errorf("%s must be %s", path, want))
}

func (r *oracleReader) object(path string, raw json.RawMessage) map[string]json.RawMessage {
	if absent(raw) {
		return nil
	}
	var o map[string]json.RawMessage
	if err := json.Unmarshal(raw, &o); err != nil {
		r.fail(path, "an object")
		return nil
	}
	return o
}

func (r *oracleReader) objects(path string, raw json.RawMessage) []json.RawMessage {
	if absent(raw) {
		return nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		r.fail(path, "an array")
		return nil
	}
	var kept []json.RawMessage
	for i, entry := range all {
		switch entry = bytes.TrimSpace(entry); {
		case absent(entry):
		case isObject(entry):
			kept = append(kept, entry)
		default:
			r.fail(fmt.Sprintf("%s[%d]", path, i), "an object")
		}
	}
	return kept
}

func (r *oracleReader) boolean(path string, raw json.RawMessage) bool {
	if absent(raw) {
		return false
	}
	switch strings.ToLower(strings.Trim(string(raw), `"`)) {
	case "true":
		return true
	case "false":
		return false
	}
	r.fail(path, "true or false")
	return false
}

func (r *oracleReader) text(path string, raw json.RawMessage) string {
	if absent(raw) {
		return ""
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		r.fail(path, "a string")
	}
	return s
}

func (r *oracleReader) integer(path string, raw json.RawMessage) *int64 {
	if absent(raw) {
		return nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		r.fail(path, "an integer")
		return nil
	}
	return &n
}

func (r *oracleReader) resume(o map[string]json.RawMessage) *Resume {
	hlc, err := strconv.ParseUint(r.text("config.wedsync.resume.hlc", o["hlc"]), 10, 64)
	if err != nil {
		r.fail("config.wedsync.resume.hlc", "a decimal number in a string")
		return nil
	}
	return &Resume{
		HLC: hlc, LastID: r.text("config.wedsync.resume.last_id", o["last_id"]),
		Returning: r.boolean("config.wedsync.resume.returning", o["returning"]),
	}
}

func oracleAnyText(raw json.RawMessage) string {
	if absent(raw) {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
