package protocol

import (
	"encoding/json"
	"errors"
	"strconv"
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
	Second   bool // a session beside another one of the member: it is sent no bulk, which the other one is
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
// ignored, and the last of equal keys counts. Booleans may be "true" and "false" in any case.
// Nothing of the result is a slice of the payload.
func ParseJoin(payload []byte) (Join, []error) {
	var j Join
	var r joinReader
	var accessToken, userToken, version, config []byte
	r.object("payload", payload, member{"access_token", &accessToken}, member{"user_token", &userToken},
		member{"version", &version}, member{"config", &config})
	j.AccessToken = r.text("access_token", accessToken)
	if user := r.text("user_token", userToken); user != "" {
		j.AccessToken = user
	}
	j.Version = r.text("version", version)
	r.config(config, &j.Config)
	return j, r.errs
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
	if e.Second {
		dst = append(dst, `,"second":true`...)
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
	var token []byte
	r.object("payload", payload, member{"access_token", &token})
	text := r.text("access_token", token)
	return text, errors.Join(r.errs...)
}
