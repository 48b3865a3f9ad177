package conformance

import "testing"

// §6: the end of a channel, as the server says it.
func TestLeave(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§6 phx_close names the life of the channel that ended", script: `
			a> ["3","3","realtime:$T","phx_join",{}]
			a< ["3","3","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["3","4","realtime:$T","phx_leave",{}]
			a< ["3","4","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< ["3","3","realtime:$T","phx_close",{}]
			a> ["5","5","realtime:$T","phx_join",{}]
			a< ["5","5","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["5","6","realtime:$T","phx_leave",{}]
			a< ["5","6","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< ["5","5","realtime:$T","phx_close",{}]`},
		{name: "§6 a channel that has been left hears no broadcasts", script: `
			a join {}
			b join {"broadcast":{"self":true}}
			a leave
			b> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			b< [null,null,"realtime:$T","broadcast",{"event":"x"}]
			a nothing`},
		{name: "§6 a channel that has been left takes no pushes", script: `
			a join {}
			a leave
			a> ["1","5","realtime:$T","broadcast",{"event":"x"}]
			a< [null,"5","realtime:$T","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		{name: "§6 leaving one channel leaves the others of the socket alone", script: `
			a join {}
			a> ["2","2","realtime:$T:other","phx_join",{"config":{"broadcast":{"self":true}}}]
			a< ["2","2","realtime:$T:other","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a leave
			a> ["2","3","realtime:$T:other","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T:other","broadcast",{"event":"x"}]`},
		{name: "§6 a topic can be joined again after phx_close", script: `
			a join {}
			a leave
			a join {"broadcast":{"self":true}}
			a> ["1","3","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]`},
		{name: "§6 a client may hang up without a code, and others go on", script: `
			a join {}
			b join {"broadcast":{"self":true}}
			a hangs up
			b> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			b< [null,null,"realtime:$T","broadcast",{"event":"x"}]`},
	})
}
