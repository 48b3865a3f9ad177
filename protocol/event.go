package protocol

// Events of the protocol. The last one is ours; stock clients ignore it.
const (
	EventJoin            = "phx_join"
	EventLeave           = "phx_leave"
	EventReply           = "phx_reply"
	EventClose           = "phx_close"
	EventError           = "phx_error"
	EventHeartbeat       = "heartbeat" // on TopicPhoenix
	EventBroadcast       = "broadcast"
	EventAccessToken     = "access_token"
	EventSystem          = "system"
	EventPresence        = "presence"
	EventPresenceState   = "presence_state"
	EventPresenceDiff    = "presence_diff"
	EventPostgresChanges = "postgres_changes"
	EventReceipt         = "receipt"
)

// known interns the events that every socket sends and receives, so that decoding one allocates
// nothing for it.
var known = map[string]string{
	EventJoin: EventJoin, EventLeave: EventLeave, EventReply: EventReply, EventClose: EventClose,
	EventError: EventError, EventHeartbeat: EventHeartbeat, EventBroadcast: EventBroadcast,
	EventAccessToken: EventAccessToken, EventSystem: EventSystem, EventPresence: EventPresence,
	EventPresenceState: EventPresenceState, EventPresenceDiff: EventPresenceDiff,
	EventPostgresChanges: EventPostgresChanges, EventReceipt: EventReceipt,
	TopicPhoenix: TopicPhoenix,
}

// intern returns b as a string, without allocating if it is one of the known ones.
func intern(b []byte) string {
	if s, ok := known[string(b)]; ok {
		return s
	}
	return string(b)
}
