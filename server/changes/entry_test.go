package changes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/protocol"
)

func TestParseEntries(t *testing.T) {
	for raw, want := range map[string]Entry{
		`{"event":"INSERT","schema":"public","table":"orders","filter":"id=gt.5"}`: {Event: "INSERT", Schema: "public", Table: "orders", Filter: "id=gt.5"},
		`{"event":"update","schema":"public"}`:                                     {Event: "UPDATE", Schema: "public", Table: "*"},
		`{"event":"TRUNCATE","table":"orders"}`:                                    {Event: "*", Schema: "public", Table: "orders"},
		`{"schema":"*","table":null,"filter":null,"select":null}`:                  {Event: "*", Schema: "*", Table: "*"},
		`{"schema":"s","table":"t","select":["b",7,"a",""]}`:                       {Event: "*", Schema: "s", Table: "t", Select: []string{"b", "a"}},
		`{"schema":"s","table":"t","select":{}}`:                                   {Event: "*", Schema: "s", Table: "t"},
	} {
		want.ID = protocol.ChangesID(json.RawMessage(raw))
		got, err := ParseEntries([]json.RawMessage{json.RawMessage(raw)})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if diff := cmp.Diff([]Entry{want}, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", raw, diff)
		}
	}
	for raw, want := range map[string]string{
		`{}`:                      textNoParams + `%{}`,
		`{"event":"*","table":7}`: textNoParams + `%{"event" => "*", "table" => 7}`,
		`{"schema":7}`:            textNoParams + `%{"schema" => 7}`,
		`{"schema":"public","table":"t","filter":{}}`: textNoParams + `%{"filter" => {}, "schema" => "public", "table" => "t"}`,
		`[]`: textNoParams + `[]`,
		`{"schema":"public","table":"t","select":"a,b"}`: "Error parsing `select` params: expected a list of column name strings, e.g. select: [\"col1\", \"col2\"]",
		`{"schema":"public","table":"*","select":["a"]}`: "Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name.",
		`{"schema":"public","select":["a"]}`:             "Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name.",
	} {
		if _, err := ParseEntries([]json.RawMessage{json.RawMessage(raw)}); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", raw, err, want)
		}
	}
}

// The ids in messages are those of the reply to the join.
func TestEntryIDIsThatOfTheJoin(t *testing.T) {
	raw := []json.RawMessage{[]byte(`{"event":"*","schema":"public","table":"orders"}`), []byte(`{"event":"INSERT","schema":"public"}`)}
	reply := string(protocol.JoinResponse(raw))
	for _, r := range raw {
		if id := fmt.Sprintf(`"id":%d,`, protocol.ChangesID(r)); !strings.Contains(reply, id) {
			t.Errorf("%s is not in %s", id, reply)
		}
	}
}

func TestConfig(t *testing.T) {
	err := (&Config{QueueLen: -1, Connections: 1}).Validate()
	if err == nil {
		t.Fatal("an empty configuration was accepted")
	}
	for _, what := range []string{"URL is missing", "publish function", "known function", "queue length -1", "1 database connections"} {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("%q does not speak of: %s", err, what)
		}
	}
	if _, err := Start(t.Context(), Config{URL: "postgres://%"}); err == nil {
		t.Error("a broken URL was accepted")
	}
}
