package server

import (
	"os"
	"path/filepath"
	"testing"
)

const policyOpen = `
rules:
  - allow: [read, write]
    on: [broadcast, presence]
    roles: ["*"]
    topics: ["**"]
`

const policyFlorists = `
rules:
  - allow: [read]
    on: [broadcast]
    roles: ["*"]
    topics: ["wedding:42:vendor:florist"]
  - allow: [read]
    on: [presence]
    roles: ["*"]
    topics: ["wedding:42:timeline"]
`

// TestPolicyFileIsReadAgain changes the policy under four channels: one loses everything and is ended, one
// loses a right to read that it uses and is ended too, one loses its presence only, one keeps all.
func TestPolicyFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(policyOpen)
	n := start(t, func(c *Config) { c.PolicyFile = file })
	c := n.dial(t, "2.0.0")
	ref := map[string]string{"wedding:42": "1", "wedding:42:timeline": "2", "wedding:42:vendor:florist": "3", "room": "4"}
	for _, topic := range []string{"wedding:42", "wedding:42:timeline", "wedding:42:vendor:florist", "room"} {
		private := "true"
		if topic == "room" {
			private = "false"
		}
		r := ref[topic]
		c.say(`["` + r + `","` + r + `","realtime:` + topic + `","phx_join",{"config":{"private":` + private + `}}]`)
		c.expect(`["` + r + `","` + r + `","realtime:` + topic + `","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
	}
	c.say(`["3","5","realtime:wedding:42:vendor:florist","presence",{"event":"track","payload":{}}]`)
	for range 4 { // the state (who shows itself may see the others), the reply, the diff, and that of the parent
		c.read()
	}
	waitFor(t, "the entry", func() bool { return n.presence.Len() == 1 })

	write(policyFlorists)
	lost := func(topic string) {
		c.expect(`["`+ref[topic]+`",null,"realtime:`+topic+`","system",{"extension":"system","status":"error","message":"You no longer have permission to read from this Channel topic: `+topic+`","channel":"`+topic+`"}]`,
			`["`+ref[topic]+`","`+ref[topic]+`","realtime:`+topic+`","phx_close",{}]`)
	}
	lost("wedding:42")
	lost("wedding:42:timeline")
	lost("wedding:42:vendor:florist") // it had asked for presence by tracking
	waitFor(t, "the entry to be gone", func() bool { return n.presence.Len() == 0 })
	c.say(`["4","6","realtime:room","broadcast",{"event":"x"}]`)
	c.silence() // the public channel is still there
	waitFor(t, "one channel to be left", func() bool { return len(n.all()) == 1 && n.all()[0].turn() != turnUnused })
}
