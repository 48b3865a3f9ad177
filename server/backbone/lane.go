package backbone

import "github.com/wedsync/wedsync/protocol"

// lanes in the order of their importance. Each has an account of its own at every log server, and a
// connection of its own to every one of them. Bulk has no log: what it carries is live only.
var (
	lanes  = [...]protocol.Lane{protocol.Urgent, protocol.Normal, protocol.Bulk}
	logged = lanes[:2]
)

// laneNames are what a lane is called at the log servers. They stand in keys, subjects and on disks:
// a name that has been used must not change.
var laneNames = [protocol.Lanes]struct{ account, stream, token string }{
	protocol.Urgent: {account: "URG", stream: "EVT_U", token: "u"},
	protocol.Normal: {account: "APP", stream: "EVT_N", token: "n"},
	protocol.Bulk:   {account: "BLK"},
}

func accountName(lane protocol.Lane) string { return laneNames[lane].account }

// streamName is the name of the stream that holds a lane.
func streamName(lane protocol.Lane) string { return laneNames[lane].stream }
