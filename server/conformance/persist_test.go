package conformance

import "testing"

// §9.4: a server that ignores the wish to keep a message is compatible.
func TestPersist(t *testing.T) {
	t.Parallel()
	rest := func(query string) func(*scene) {
		return func(s *scene) {
			s.play(`a join {"private":true}`)
			s.accepted("/api/broadcast/$T/events/x?private=true&"+query, jsonType, `{"a":1}`)
			if s.vsn == "2" {
				s.play(`a<4 ["realtime:$T","x",null,{"a":1}]`)
			} else {
				s.play(`a< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{"a":1}}]`)
			}
		}
	}
	table(t, plain(t), []behaviour{
		{name: "§9.4 persist:true in the metadata does no harm", vsn: "2", script: `
			a join {"private":true,"broadcast":{"ack":true}}
			b join {"private":true}
			a>3 ["1","2","realtime:$T","x",{"persist":true},{"a":1}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			b<4 ["realtime:$T","x",{"...":0},{"a":1}]`},
		{name: "§9.4 persist with a ttl in the metadata does no harm", vsn: "2", script: `
			a join {"private":true,"broadcast":{"ack":true}}
			b join {"private":true}
			a>3 ["1","2","realtime:$T","x",{"persist":{"ttl":60}},{"a":1}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			b<4 ["realtime:$T","x",{"...":0},{"a":1}]`},
		{name: "§9.4 persist=true in the query of REST does no harm", run: rest("persist=true")},
		{name: "§9.4 persist[ttl]=60 in the query of REST does no harm", run: rest("persist[ttl]=60")},
	})
}
