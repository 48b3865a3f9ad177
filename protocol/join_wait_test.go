package protocol

import (
	"testing"
	"time"
)

func TestPostgresChangesWait(t *testing.T) {
	for options, want := range map[string]time.Duration{
		`{}`:                           0,
		`null`:                         0,
		`{"wait":false,"timeout":5}`:   0,
		`{"wait":true}`:                15 * time.Second,
		`{"wait":"TRUE","timeout":40}`: 40 * time.Millisecond,
		`{"wait":true,"timeout":-1}`:   time.Millisecond,
		`{"wait":true,"timeout":1e9}`:  15 * time.Second, // no integer: reported, and the default holds
		`{"wait":true,"timeout":9223372036854775807}`: 20 * time.Second,
	} {
		j, _ := ParseJoin([]byte(`{"config":{"postgres_changes_options":` + options + `}}`))
		if got := j.Config.PostgresChangesWait; got != want {
			t.Errorf("%s: %v, want %v", options, got, want)
		}
		again, errs := ParseJoin(j.Append(nil))
		if again.Config.PostgresChangesWait != want || len(errs) > 0 {
			t.Errorf("%s written and read again: %v, %v", options, again.Config.PostgresChangesWait, errs)
		}
	}
}
