package protocol

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseJoin(t *testing.T) {
	full := func() (j Join) {
		since, limit := int64(1700000000000), int64(10)
		j.AccessToken, j.Version = "user", "realtime-js/2.119.1"
		j.Config.Private = true
		j.Config.Broadcast.Ack, j.Config.Broadcast.Self, j.Config.Broadcast.ReplicationReady = true, true, true
		j.Config.Broadcast.Replay = &Replay{Since: &since, Limit: &limit}
		j.Config.Presence.Enabled, j.Config.Presence.Key = true, "vendor-7"
		j.Config.PostgresChanges = []json.RawMessage{[]byte(`{"event":"*"}`)}
		j.Config.Wedsync = Extension{Resume: &Resume{HLC: 1<<64 - 1, LastID: "m9", Returning: true}, Receipts: true}
		return j
	}
	with := func(f func(*Join)) (j Join) { f(&j); return j }
	tests := []struct {
		name, in string
		want     Join
		errs     []string
	}{
		{"nothing", `{}`, Join{}, nil},
		{"null", `null`, Join{}, nil},
		{"everything", `{"access_token":"access","user_token":"user","version":"realtime-js/2.119.1","config":{"private":true,
			"broadcast":{"ack":true,"self":"TRUE","replication_ready":"True","replay":{"since":1700000000000,"limit":10}},
			"presence":{"enabled":true,"key":"vendor-7"},"postgres_changes":[null, {"event":"*"}],
			"wedsync":{"receipts":true,"resume":{"hlc":"18446744073709551615","last_id":"m9","returning":true}}}}`, full(), nil},
		{"nulls", `{"access_token":null,"config":{"broadcast":null,"presence":{"key":null},"postgres_changes":null,"wedsync":null,"private":null}}`, Join{}, nil},
		{"key of any type", `{"config":{"presence":{"key":7}}}`, with(func(j *Join) { j.Config.Presence.Key = "7" }), nil},
		{"wrong types, the rest is kept", `{"access_token":5,"config":{"private":"yes","broadcast":{"ack":1,"self":true,"replay":{"since":"x","limit":1.5}},
			"presence":[],"postgres_changes":[5,{"event":"*"}],"wedsync":{"resume":{"hlc":7},"receipts":true}}}`,
			with(func(j *Join) {
				j.Config.Broadcast.Self = true
				j.Config.Broadcast.Replay = &Replay{}
				j.Config.PostgresChanges = []json.RawMessage{[]byte(`{"event":"*"}`)}
				j.Config.Wedsync.Receipts = true
			}), []string{
				"access_token must be a string",
				"config.private must be true or false",
				"config.broadcast.ack must be true or false",
				"config.broadcast.replay.since must be an integer",
				"config.broadcast.replay.limit must be an integer",
				"config.presence must be an object",
				"config.postgres_changes[0] must be an object",
				"config.wedsync.resume.hlc must be a string",
				"config.wedsync.resume.hlc must be a decimal number in a string",
			}},
		{"not an object", `[]`, Join{}, []string{"payload must be an object"}},
		{"not JSON", `{`, Join{}, []string{"payload must be an object"}},
		{"config is a string", `{"config":"x"}`, Join{}, []string{"config must be an object"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, errs := ParseJoin([]byte(tt.in))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			var texts []string
			for _, err := range errs {
				texts = append(texts, err.Error())
			}
			if d := cmp.Diff(tt.errs, texts); d != "" {
				t.Errorf("errors (-want +got):\n%s", d)
			}
		})
	}
}

func TestParseAccessToken(t *testing.T) {
	if token, err := ParseAccessToken([]byte(`{"access_token":"eyJ"}`)); token != "eyJ" || err != nil {
		t.Errorf("%q, %v", token, err)
	}
	if token, err := ParseAccessToken([]byte(`{"access_token":null}`)); token != "" || err != nil {
		t.Errorf("%q, %v", token, err)
	}
	_, err := ParseAccessToken([]byte(`{"access_token":5}`))
	if err == nil || errors.Is(err, ErrMalformed) {
		t.Errorf("%v", err)
	}
}
