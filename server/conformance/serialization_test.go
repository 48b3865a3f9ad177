package conformance

import (
	"encoding/hex"
	"strings"
	"testing"
)

// §2: the shape of frames. That version 1 writes exactly four keys and version 2 exactly five parts, the
// driver checks for every frame of every case.
func TestSerialization(t *testing.T) {
	t.Parallel()
	table(t, plain(t), []behaviour{
		{name: "§2 numbers as refs are echoed as numbers", script: `
			a> [0,0,"realtime:$T","phx_join",{"config":{"broadcast":{"ack":true}}}]
			a< [0,0,"realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> [0,7,"realtime:$T","broadcast",{"event":"x"}]
			a< [0,7,"realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			a> [null,8,"phoenix","heartbeat",{}]
			a< [null,8,"phoenix","phx_reply",{"status":"ok","response":{}}]
			a> [0,9,"realtime:$T","phx_leave",{}]
			a< [0,9,"realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< [0,0,"realtime:$T","phx_close",{}]`},
		{name: "§2 refs are opaque texts", script: `
			a> ["join \"one\"","ré f","realtime:$T","phx_join",{}]
			a< ["join \"one\"","ré f","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`},
		{name: "§2.1 join_ref is optional", vsn: "1", script: `
			a>raw {"topic":"realtime:$T","event":"phx_join","payload":{},"ref":"1"}
			a< [null,"1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a>raw {"topic":"realtime:$T","event":"phx_leave","payload":{},"ref":"2"}
			a< [null,"2","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< [null,"<any>","realtime:$T","phx_close",{}]`},
		{name: "§2.1 a frame without topic is malformed", vsn: "1", script: `
			a>raw {"event":"heartbeat","payload":{},"ref":"1"}
			a nothing`},
		{name: "§2.1 a frame without event is malformed", vsn: "1", script: `
			a>raw {"topic":"phoenix","payload":{},"ref":"1"}
			a nothing`},
		{name: "§2.1 a frame without payload is malformed", vsn: "1", script: `
			a>raw {"topic":"phoenix","event":"heartbeat","ref":"1"}
			a nothing`},
		{name: "§2.1 a frame without ref is malformed", vsn: "1", script: `
			a>raw {"topic":"phoenix","event":"heartbeat","payload":{}}
			a nothing`},
		{name: "§2.1 a ref that is null is present", vsn: "1", script: `
			a>raw {"topic":"phoenix","event":"heartbeat","payload":{},"ref":null}
			a< [null,null,"phoenix","phx_reply",{"status":"ok","response":{}}]`},
		{name: "§2.1 unknown keys of a frame are ignored", vsn: "1", script: `
			a>raw {"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1","more":[1]}
			a< [null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]`},
		{name: "§2.1 pushes carry ref null, phx_close the join ref in ref", vsn: "1", script: `
			a> ["5","6","realtime:$T","phx_join",{"config":{"broadcast":{"self":true}}}]
			a< [null,"6","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["5","7","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]
			a> ["5","8","realtime:$T","phx_leave",{}]
			a< [null,"8","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< [null,"5","realtime:$T","phx_close",{}]`},
		{name: "§2.2 elements after the fifth are ignored", vsn: "2", script: `
			a>raw [null,"1","phoenix","heartbeat",{},"more",{}]
			a< [null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]`},
		{name: "§2.2 a reply carries the join_ref of the channel, not of the push", vsn: "2", script: `
			a> ["5","5","realtime:$T","phx_join",{"config":{"broadcast":{"ack":true}}}]
			a< ["5","5","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["4","6","realtime:$T","broadcast",{"event":"x"}]
			a< ["5","6","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			a> [null,"7","realtime:$T","broadcast",{"event":"x"}]
			a< ["5","7","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]`},
		{name: "§2.2 the answer to a join carries the join_ref of the message", vsn: "2", script: `
			a> ["11","12","realtime:$T","phx_join",{}]
			a< ["11","12","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`},
		{name: "§2.2 the answer to a stray phx_leave carries the join_ref of the message", vsn: "2", script: `
			a> ["11","12","realtime:$T","phx_leave",{}]
			a< ["11","12","realtime:$T","phx_reply",{"status":"ok","response":{}}]`},
		{name: "§2.2 the answer to a heartbeat carries no join_ref", vsn: "2", script: `
			a> ["11","12","phoenix","heartbeat",{}]
			a< [null,"12","phoenix","phx_reply",{"status":"ok","response":{}}]`},
		{name: "§2.2 unmatched topic is said without a join_ref", vsn: "2", script: `
			a> ["11","12","realtime:$T","broadcast",{}]
			a< [null,"12","realtime:$T","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		{name: "§2.2 presence_state carries the join_ref of the channel and no ref", vsn: "2", script: `
			a> ["5","6","realtime:$T","phx_join",{"config":{"presence":{"enabled":true}}}]
			a< ["5","6","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a< ["5",null,"realtime:$T","presence_state",{}]`},
		{name: "§2.2 system carries the join_ref of the channel and no ref", vsn: "2", script: `
			a> ["5","6","realtime:$T","phx_join",{}]
			a< ["5","6","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["5","7","realtime:$T","access_token",{"access_token":"words"}]
			a< ["5",null,"realtime:$T","system",{"...":0}]
			a< ["5","5","realtime:$T","phx_close",{}]`},
		{name: "§2.2 live broadcasts carry neither join_ref nor ref", vsn: "2", script: `
			a> ["5","6","realtime:$T","phx_join",{"config":{"broadcast":{"self":true}}}]
			a< ["5","6","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["5","7","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]`},
		{name: "§2.2 phx_close carries the join_ref twice", vsn: "2", script: `
			a> ["5","6","realtime:$T","phx_join",{}]
			a< ["5","6","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["5","7","realtime:$T","phx_leave",{}]
			a< ["5","7","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			a< ["5","5","realtime:$T","phx_close",{}]`},
		{name: "§2.3 the layout of a push and of a broadcast, byte for byte", vsn: "2", run: func(s *scene) {
			s.words["T"] = "wed:42" // as in the examples of the protocol
			s.play(`
				a> ["3","3","realtime:$T","phx_join",{"config":{"broadcast":{"self":true}}}]
				a< ["3","3","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
			const topic, event, payload = "7265616c74696d653a7765643a3432", "74696d656c696e65", "7b22736c6f74223a2266697273742d64616e6365222c22657461223a39357d"
			s.client("a").write(binaryMessage, unhex(s, "0301010f080001"+"33"+"39"+topic+event+payload))
			kind, message, err := s.client("a").read()
			if err != nil || kind != binaryMessage {
				s.t.Fatalf("kind %d, %v", kind, err)
			}
			if got, want := hex.EncodeToString(message), "040f080001"+topic+event+payload; got != want {
				s.t.Errorf("\n got %s\nwant %s", got, want)
			}
		}},
		{name: "§2.3 the payload of encoding 0 is any bytes", vsn: "2", script: `
			a join {"broadcast":{"self":true}}
			a>3b ["1","2","realtime:$T","photo",null,"ffd8ffe000010203"]
			a<4b ["realtime:$T","photo",null,"ffd8ffe000010203"]
			a>3b ["1","3","realtime:$T","photo",null,""]
			a<4b ["realtime:$T","photo",null,""]`},
		{name: "§2.3 any encoding but 0 is JSON", vsn: "2", run: func(s *scene) {
			s.play(`a join {"broadcast":{"self":true}}`)
			s.client("a").push(7, "1", "2", s.everywhere("realtime:$T"), "x", "", []byte(`{"a":1}`))
			s.play(`a<4 ["realtime:$T","x",null,{"a":1}]`)
		}},
		{name: "§2.3 a JSON payload may be any value", vsn: "2", script: `
			a join {"broadcast":{"self":true}}
			a>3 ["1","2","realtime:$T","x",null,null]
			a<4 ["realtime:$T","x",null,null]
			a>3 ["1","2","realtime:$T","x",null,"text"]
			a<4 ["realtime:$T","x",null,"text"]
			a>3 ["1","2","realtime:$T","x",null,[1,2.50,-3e10]]
			a<4 ["realtime:$T","x",null,[1,2.50,-3e10]]`},
		{name: "§2.3 fields are counted in bytes, up to 255", vsn: "2", run: func(s *scene) {
			s.words["event"] = strings.Repeat("é", 127) + "x"
			s.words["long"] = strings.Repeat("r", 255)
			s.play(`
				a join {"broadcast":{"self":true,"ack":false}}
				a>3 ["1","$long","realtime:$T","$event",null,{"a":1}]
				a<4 ["realtime:$T","$event",null,{"a":1}]`)
		}},
		{name: "§2.3 join_ref and ref of a push may be empty", vsn: "2", script: `
			a join {"broadcast":{"self":true}}
			a>3 ["","","realtime:$T","x",null,{"a":1}]
			a<4 ["realtime:$T","x",null,{"a":1}]`},
		{name: "§2.3 the acknowledgement of a push is text, with its ref", vsn: "2", script: `
			a join {"broadcast":{"ack":true}}
			a>3 ["1","9","realtime:$T","x",null,{"a":1}]
			a< ["1","9","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]`},
		{name: "§2.3 unknown keys in the metadata of a push are dropped", vsn: "2", script: `
			a join {"broadcast":{"self":true}}
			a>3 ["1","9","realtime:$T","x",{"colour":"red"},{"a":1}]
			a<4 ["realtime:$T","x",null,{"a":1}]`},
	})
}

func unhex(s *scene, digits string) []byte {
	s.t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// §2.4: everything that can be published, as it reaches a client of each version. The publisher is of the
// version of the run.
func TestInteroperation(t *testing.T) {
	t.Parallel()
	const members = `
		old join {"broadcast":{"self":true}}
		new join {"broadcast":{"self":true}}`
	rest := func(path, contentType, body, expect string) func(*scene) {
		return func(s *scene) {
			s.play(members)
			s.accepted(path, contentType, body)
			s.play(expect)
		}
	}
	table(t, plain(t), []behaviour{
		{name: "§2.4 kind 3, JSON: kind 4 without metadata, and an object", vsn: "2", script: members + `
			a join {}
			a>3 ["1","2","realtime:$T","timeline",null,{"slot":"cake"}]
			new<4 ["realtime:$T","timeline",null,{"slot":"cake"}]
			old< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"timeline","payload":{"slot":"cake"}}]`},
		{name: "§2.4 kind 3, bytes: kind 4 of encoding 0, and nothing", vsn: "2", script: members + `
			a join {}
			a>3b ["1","2","realtime:$T","photo",null,"ffd8"]
			new<4b ["realtime:$T","photo",null,"ffd8"]
			old nothing`},
		{name: "§2.4 a text broadcast is forwarded verbatim", script: members + `
			a join {}
			a> ["1","2","realtime:$T","broadcast",{"x":[1,2.50],"event":"timeline","nested":{"type":null}}]
			new< [null,null,"realtime:$T","broadcast",{"x":[1,2.50],"event":"timeline","nested":{"type":null}}]
			old< [null,null,"realtime:$T","broadcast",{"x":[1,2.50],"event":"timeline","nested":{"type":null}}]`},
		{name: "§2.4 an empty text broadcast is forwarded verbatim", script: members + `
			a join {}
			a> ["1","2","realtime:$T","broadcast",{}]
			new< [null,null,"realtime:$T","broadcast",{}]
			old< [null,null,"realtime:$T","broadcast",{}]`},
		{name: "§2.4 REST batch: text to both", run: rest("/api/broadcast", jsonType,
			`{"messages":[{"topic":"$T","event":"timeline","payload":{"slot":"cake"}}]}`, `
			new< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"timeline","payload":{"slot":"cake"}}]
			old< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"timeline","payload":{"slot":"cake"}}]`)},
		{name: "§2.4 REST batch with an id: text with the id in meta", run: rest("/api/broadcast", jsonType,
			`{"messages":[{"topic":"$T","event":"timeline","payload":{"slot":"cake"},"id":"7b0c2f0e-6d0b-4f4e-9a52-1f4b0a6f4c11"}]}`, `
			new< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"timeline","payload":{"slot":"cake"},"meta":{"id":"7b0c2f0e-6d0b-4f4e-9a52-1f4b0a6f4c11","...":0}}]
			old< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"timeline","payload":{"slot":"cake"},"meta":{"id":"7b0c2f0e-6d0b-4f4e-9a52-1f4b0a6f4c11","...":0}}]`)},
		{name: "§2.4 REST single, JSON: kind 4 without metadata, and an object", run: rest("/api/broadcast/$T/events/timeline", jsonType, `{"slot":"cake"}`, `
			new<4 ["realtime:$T","timeline",null,{"slot":"cake"}]
			old< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"timeline","payload":{"slot":"cake"}}]`)},
		{name: "§2.4 REST single, bytes: kind 4 of encoding 0, and nothing", run: rest("/api/broadcast/$T/events/photo", bytesType, "\xff\xd8", `
			new<4b ["realtime:$T","photo",null,"ffd8"]
			old nothing`)},
	})
}
