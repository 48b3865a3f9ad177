package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Join is the payload of phx_join.
type Join struct {
	AccessToken string // "user_token" wins over "access_token"
	Config      JoinConfig
	Version     string // what the client says it is, for logs
}

// JoinConfig is the key "config" of a join. The zero value is what an absent key means.
type JoinConfig struct {
	Private   bool
	Broadcast struct {
		Ack, Self, ReplicationReady bool
		Replay                      *Replay
	}
	Presence struct {
		Enabled bool
		Key     string // empty: the server chooses one
	}
	PostgresChanges []json.RawMessage // JSON objects as they were asked for
	// PostgresChangesWait holds the reply to the join back until the subscription exists, at most so long;
	// 0: the reply does not wait.
	PostgresChangesWait time.Duration
	Wedsync             Extension
}

// How long a join may wait for its subscription to Postgres changes: unless it says so, and at most.
const (
	defaultChangesWait = 15 * time.Second
	maxChangesWait     = 20 * time.Second
)

// maxHomes is beyond what anybody needs.
const maxHomes = 16

// Replay asks for stored broadcasts of a private channel. Absent members differ from zero.
type Replay struct {
	Since *int64 // Unix time, ms
	Limit *int64
}

// Extension is config.wedsync: ours, ignored by stock servers.
type Extension struct {
	Resume   *Resume
	Receipts bool // wants the receipts of its own urgent messages
	Confirms bool // confirms urgent messages: who does not is missed, see EscalationEvent
	Move     bool // understands MovingPayload: joins elsewhere before the socket is closed
	Homes    int  // how many sessions the member keeps at a time; 0 means 1
}

// Resume asks for everything of the room since a message.
type Resume struct {
	HLC    uint64 // of the last message seen; a decimal string on the wire
	LastID string // its id, for logs
	// Returning says that the member has another session that works, and comes back to a region that it
	// prefers: the node should take it only if it can serve it as well as the other one does.
	Returning bool
}

// ParseJoin reads the payload of phx_join as leniently as the original server: a field of the wrong
// type is reported in the errors and left at its default, the rest is kept, unknown keys are
// ignored. Booleans may be "true" and "false" in any case.
func ParseJoin(payload []byte) (Join, []error) {
	var j Join
	var r joinReader
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
	j.Config.Presence.Key = anyText(presence["key"])

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
	if homes := r.integer("config.wedsync.homes", wedsync["homes"]); homes != nil {
		j.Config.Wedsync.Homes = int(min(max(*homes, 0), maxHomes))
	}
	if resume := r.object("config.wedsync.resume", wedsync["resume"]); resume != nil {
		j.Config.Wedsync.Resume = r.resume(resume)
	}
	return j, r.errs
}

// joinReader reads optional fields and collects what is wrong with them.
type joinReader struct{ errs []error }

func (r *joinReader) fail(path, want string) {
	r.errs = append(r.errs, fmt.Errorf("%s must be %s", path, want))
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

func (r *joinReader) object(path string, raw json.RawMessage) map[string]json.RawMessage {
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

func (r *joinReader) objects(path string, raw json.RawMessage) []json.RawMessage {
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

func (r *joinReader) boolean(path string, raw json.RawMessage) bool {
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

func (r *joinReader) text(path string, raw json.RawMessage) string {
	if absent(raw) {
		return ""
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		r.fail(path, "a string")
	}
	return s
}

func (r *joinReader) integer(path string, raw json.RawMessage) *int64 {
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

func (r *joinReader) resume(o map[string]json.RawMessage) *Resume {
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

// anyText returns a string as it is and any other value as its JSON text: a presence key may be
// anything.
func anyText(raw json.RawMessage) string {
	if absent(raw) {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// Append appends j as the payload of phx_join.
func (j *Join) Append(dst []byte) []byte {
	c := &j.Config
	dst = appendBool(append(dst, `{"config":{"private":`...), c.Private)
	dst = appendBool(append(dst, `,"broadcast":{"ack":`...), c.Broadcast.Ack)
	dst = appendBool(append(dst, `,"self":`...), c.Broadcast.Self)
	if c.Broadcast.ReplicationReady {
		dst = append(dst, `,"replication_ready":true`...)
	}
	if c.Broadcast.Replay != nil {
		dst = c.Broadcast.Replay.append(append(dst, `,"replay":`...))
	}
	dst = appendBool(append(dst, `},"presence":{"enabled":`...), c.Presence.Enabled)
	dst = appendString(append(dst, `,"key":`...), c.Presence.Key)
	dst = append(dst, `},"postgres_changes":[`...)
	for i, entry := range c.PostgresChanges {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, entry...)
	}
	dst = append(dst, ']')
	if wait := c.PostgresChangesWait; wait > 0 {
		dst = strconv.AppendInt(append(dst, `,"postgres_changes_options":{"wait":true,"timeout":`...), wait.Milliseconds(), 10)
		dst = append(dst, '}')
	}
	if c.Wedsync != (Extension{}) {
		dst = c.Wedsync.append(append(dst, `,"wedsync":`...))
	}
	dst = append(dst, '}')
	if j.AccessToken != "" {
		dst = appendString(append(dst, `,"access_token":`...), j.AccessToken)
	}
	if j.Version != "" {
		dst = appendString(append(dst, `,"version":`...), j.Version)
	}
	return append(dst, '}')
}

func (r *Replay) append(dst []byte) []byte {
	dst = append(dst, '{')
	if r.Since != nil {
		dst = strconv.AppendInt(append(dst, `"since":`...), *r.Since, 10)
	}
	if r.Limit != nil {
		if r.Since != nil {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `"limit":`...), *r.Limit, 10)
	}
	return append(dst, '}')
}

func (e *Extension) append(dst []byte) []byte {
	dst = appendBool(append(dst, `{"receipts":`...), e.Receipts)
	if e.Confirms {
		dst = append(dst, `,"confirms":true`...)
	}
	if e.Move {
		dst = append(dst, `,"move":true`...)
	}
	if e.Homes > 0 {
		dst = strconv.AppendInt(append(dst, `,"homes":`...), int64(e.Homes), 10)
	}
	if e.Resume != nil {
		dst = strconv.AppendUint(append(dst, `,"resume":{"hlc":"`...), e.Resume.HLC, 10)
		dst = append(dst, '"')
		if e.Resume.LastID != "" {
			dst = appendString(append(dst, `,"last_id":`...), e.Resume.LastID)
		}
		if e.Resume.Returning {
			dst = append(dst, `,"returning":true`...)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendBool(dst []byte, b bool) []byte { return strconv.AppendBool(dst, b) }

// ParseAccessToken reads the payload of the event access_token.
func ParseAccessToken(payload []byte) (string, error) {
	var r joinReader
	token := r.text("access_token", r.object("payload", payload)["access_token"])
	return token, errors.Join(r.errs...)
}
