package bench

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/wedsync/wedsync/protocol"
)

// supabase is the protocol of Supabase Realtime, version 2.0.0: our own server and the floor speak it.
type supabase struct{}

func (supabase) endpoint(address *url.URL) string {
	u := orPath(address, "/socket")
	if !strings.HasSuffix(u.Path, "/websocket") {
		u = u.JoinPath("websocket")
	}
	query := u.Query() // the address's own stays
	query.Set("vsn", "2.0.0")
	u.RawQuery = query.Encode()
	return u.String()
}

// joinRef is the join ref of every channel, and the ref of its join.
var joinRef = protocol.StringRef("1")

func (supabase) enter(room string, _ bool, heard []byte) (say []byte, in bool, err error) {
	if heard == nil {
		var join protocol.Join
		return protocol.AppendTextPush(nil, protocol.V2, &protocol.Frame{
			JoinRef: joinRef, Ref: joinRef, Topic: protocol.WireTopic(room), Event: protocol.EventJoin, Payload: join.Append(nil)}), false, nil
	}
	f, err := protocol.DecodeText(protocol.V2, heard)
	if err != nil {
		return nil, false, err
	}
	if f.Event != protocol.EventReply || f.Ref != joinRef {
		return nil, false, nil
	}
	reply, err := protocol.ParseReply(f.Payload)
	if err != nil {
		return nil, false, err
	}
	if reply.Status != protocol.StatusOK {
		return nil, false, fmt.Errorf("refused: %s", reply.Reason())
	}
	return nil, true, nil
}

func (supabase) appendPublish(dst []byte, room string, m *message) []byte {
	event := "update"
	var meta protocol.Meta
	if m.lane == protocol.Urgent {
		event, meta.Lane = protocol.UrgentEvent, protocol.Urgent
	}
	u := protocol.UserBroadcast{Event: event, Payload: m.text, Meta: meta, HasMeta: m.lane == protocol.Urgent}
	return protocol.AppendTextPush(dst, protocol.V2, &protocol.Frame{
		JoinRef: joinRef, Ref: protocol.StringRef("2"), Topic: protocol.WireTopic(room), Event: protocol.EventBroadcast,
		Payload: protocol.AppendUserBroadcast(nil, &u)})
}

// None of the loads lasts for as long as the 60 s after which a server of this protocol closes a silent socket.
func (supabase) answer([]byte) []byte { return nil }
