package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// joinReader reads optional fields and collects what is wrong with them. It goes over the bytes with the scanner of
// this package: a storm is many joins at once, and maps of them are garbage.
type joinReader struct{ errs []error }

// member is a key of an object, and where its value goes.
type member struct {
	key   string
	value *[]byte
}

func (r *joinReader) config(raw []byte, c *JoinConfig) {
	var private, broadcast, presence, changes, options, extension []byte
	r.object("config", raw, member{"private", &private}, member{"broadcast", &broadcast}, member{"presence", &presence},
		member{"postgres_changes", &changes}, member{"postgres_changes_options", &options}, member{"wedsync", &extension})
	c.Private = r.boolean("config.private", private)

	var ack, self, ready, replay []byte
	r.object("config.broadcast", broadcast, member{"ack", &ack}, member{"self", &self},
		member{"replication_ready", &ready}, member{"replay", &replay})
	c.Broadcast.Ack = r.boolean("config.broadcast.ack", ack)
	c.Broadcast.Self = r.boolean("config.broadcast.self", self)
	c.Broadcast.ReplicationReady = r.boolean("config.broadcast.replication_ready", ready)
	var since, limit []byte
	if r.object("config.broadcast.replay", replay, member{"since", &since}, member{"limit", &limit}) {
		c.Broadcast.Replay = &Replay{
			Since: r.integer("config.broadcast.replay.since", since),
			Limit: r.integer("config.broadcast.replay.limit", limit),
		}
	}

	var enabled, key []byte
	r.object("config.presence", presence, member{"enabled", &enabled}, member{"key", &key})
	c.Presence.Enabled = r.boolean("config.presence.enabled", enabled)
	c.Presence.Key = anyText(key)

	c.PostgresChanges = r.objects("config.postgres_changes", changes)

	var wait, timeout []byte
	r.object("config.postgres_changes_options", options, member{"wait", &wait}, member{"timeout", &timeout})
	if r.boolean("config.postgres_changes_options.wait", wait) {
		c.PostgresChangesWait = defaultChangesWait
		if ms := r.integer("config.postgres_changes_options.timeout", timeout); ms != nil {
			c.PostgresChangesWait = time.Duration(min(max(*ms, 1), maxChangesWait.Milliseconds())) * time.Millisecond
		}
	}
	r.extension(extension, &c.Wedsync)
}

func (r *joinReader) extension(raw []byte, e *Extension) {
	var receipts, confirms, move, homes, second, resume []byte
	r.object("config.wedsync", raw, member{"receipts", &receipts}, member{"confirms", &confirms}, member{"move", &move},
		member{"homes", &homes}, member{"second", &second}, member{"resume", &resume})
	e.Receipts = r.boolean("config.wedsync.receipts", receipts)
	e.Confirms = r.boolean("config.wedsync.confirms", confirms)
	e.Move = r.boolean("config.wedsync.move", move)
	e.Second = r.boolean("config.wedsync.second", second)
	if n := r.integer("config.wedsync.homes", homes); n != nil {
		e.Homes = int(min(max(*n, 0), maxHomes))
	}
	e.Resume = r.resume(resume)
}

func (r *joinReader) resume(raw []byte) *Resume {
	var since, last, returning []byte
	if !r.object("config.wedsync.resume", raw, member{"hlc", &since}, member{"last_id", &last}, member{"returning", &returning}) {
		return nil
	}
	hlc, err := strconv.ParseUint(r.text("config.wedsync.resume.hlc", since), 10, 64)
	if err != nil {
		r.fail("config.wedsync.resume.hlc", "a decimal number in a string")
		return nil
	}
	return &Resume{
		HLC: hlc, LastID: r.text("config.wedsync.resume.last_id", last),
		Returning: r.boolean("config.wedsync.resume.returning", returning),
	}
}

func (r *joinReader) fail(path, want string) {
	r.errs = append(r.errs, fmt.Errorf("%s must be %s", path, want))
}

func absent(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// object finds members of an object, all or, if anything in it is malformed, none. It says whether there is one.
func (r *joinReader) object(path string, raw []byte, members ...member) bool {
	if absent(raw) || absent(bytes.TrimSpace(raw)) && validValue(raw) == nil {
		return false
	}
	if err := findMembers(raw, members); err != nil {
		for _, m := range members {
			*m.value = nil
		}
		r.fail(path, "an object")
		return false
	}
	return true
}

// findMembers sets the values of those members that the object raw has. They are slices of it.
func findMembers(raw []byte, members []member) error {
	o, err := openObject(raw)
	if err != nil {
		return err
	}
	for {
		key, value, err := o.next()
		if err != nil {
			return err
		}
		if value == nil {
			break
		}
		for _, m := range members {
			if string(key) == m.key {
				*m.value = value
			}
		}
	}
	if i := skipSpace(raw, o.i+1); i < len(raw) {
		return errAt(i, raw, "nothing more")
	}
	return nil
}

// objects returns the objects of an array. It is part of an object that has been found well-formed.
func (r *joinReader) objects(path string, raw []byte) (kept []json.RawMessage) {
	if absent(raw) {
		return nil
	}
	if raw[0] != '[' {
		r.fail(path, "an array")
		return nil
	}
	i := skipSpace(raw, 1)
	for n := 0; raw[i] != ']'; n++ {
		end, err := scanValue(raw, i)
		if err != nil {
			r.fail(path, "an array")
			return nil
		}
		switch entry := raw[i:end]; {
		case absent(entry):
		case isObject(entry):
			kept = append(kept, bytes.Clone(entry))
		default:
			r.fail(fmt.Sprintf("%s[%d]", path, n), "an object")
		}
		if i = skipSpace(raw, end); raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return kept
}

func (r *joinReader) boolean(path string, raw []byte) bool {
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

func (r *joinReader) text(path string, raw []byte) string {
	if absent(raw) {
		return ""
	}
	if raw[0] != '"' {
		r.fail(path, "a string")
		return ""
	}
	return anyText(raw)
}

func (r *joinReader) integer(path string, raw []byte) *int64 {
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

// anyText returns a string as it is and any other value as its JSON text: a presence key may be
// anything. What is not UTF-8 in a string becomes U+FFFD.
func anyText(raw []byte) string {
	if absent(raw) {
		return ""
	}
	if raw[0] != '"' {
		return string(raw)
	}
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	_ = json.Unmarshal(raw, &text) // it has been scanned, so this cannot fail
	return text
}
