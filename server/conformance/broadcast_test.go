package conformance

import (
	"fmt"
	"strings"
	"testing"
)

// §8: broadcasts over the socket.
func TestBroadcast(t *testing.T) {
	t.Parallel()
	const x = `{"type":"broadcast","event":"x","payload":{"a":1}}`
	table(t, plain(t), []behaviour{
		{name: "§8 a broadcast reaches every other member", script: `
			a join {}
			b join {}
			old join {}
			new join {}
			a> ["1","2","realtime:$T","broadcast",` + x + `]
			b< [null,null,"realtime:$T","broadcast",` + x + `]
			old< [null,null,"realtime:$T","broadcast",` + x + `]
			new< [null,null,"realtime:$T","broadcast",` + x + `]`},
		{name: "§8 self:false leaves the sender out", script: `
			a join {"broadcast":{"self":false}}
			a> ["1","2","realtime:$T","broadcast",` + x + `]
			a nothing`},
		{name: "§8 self:false leaves the sender of a binary push out", vsn: "2", script: `
			a join {}
			a>3 ["1","2","realtime:$T","x",null,{"a":1}]
			a nothing`},
		{name: "§8 self:true sends it back to the sender", script: `
			a join {"broadcast":{"self":true}}
			a> ["1","2","realtime:$T","broadcast",` + x + `]
			a< [null,null,"realtime:$T","broadcast",` + x + `]`},
		{name: "§8 another socket of the same user is not the sender", script: `
			a join {}
			b join {}
			a> ["1","2","realtime:$T","broadcast",` + x + `]
			b< [null,null,"realtime:$T","broadcast",` + x + `]
			a nothing`},
		{name: "§8 ack:true is answered ok", script: `
			a join {"broadcast":{"ack":true}}
			a> ["1","2","realtime:$T","broadcast",` + x + `]
			a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]`},
		{name: "§8 ack:true and self:true give both, in either order", script: `
			a join {"broadcast":{"ack":true,"self":true}}
			a> ["1","2","realtime:$T","broadcast",` + x + `]
			a~ ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			a~ [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"x","payload":{"a":1},"...":0}]
			a nothing`},
		{name: "§8 ack:false is not answered", script: `
			a join {"broadcast":{"ack":false}}
			a> ["1","2","realtime:$T","broadcast",` + x + `]
			a nothing`},
		{name: "§8 an acknowledged broadcast differs for its receivers by meta alone", script: `
			a join {"broadcast":{"ack":true}}
			b join {}
			a> ["1","2","realtime:$T","broadcast",{"event":"x","mine":{"a":1}}]
			a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]
			b< [null,null,"realtime:$T","broadcast",{"event":"x","mine":{"a":1},"meta":{"id":"<uuid>","...":0}}]`},
		{name: "§8 the text payload is not validated", script: `
			a join {}
			b join {}
			a> ["1","2","realtime:$T","broadcast",{"event":17,"type":null,"payload":[]}]
			b< [null,null,"realtime:$T","broadcast",{"event":17,"type":null,"payload":[]}]
			a> ["1","3","realtime:$T","broadcast",{"event":"x","payload":"text"}]
			b< [null,null,"realtime:$T","broadcast",{"event":"x","payload":"text"}]
			a> ["1","4","realtime:$T","broadcast",{"event":"x","payload":{"deep":[[[{}]]],"emoji":"💐","nul":"\u0000"}}]
			b< [null,null,"realtime:$T","broadcast",{"event":"x","payload":{"deep":[[[{}]]],"emoji":"💐","nul":"\u0000"}}]`},
		{name: "§8 the case of an event's name is kept", script: `
			a join {}
			b join {}
			a> ["1","2","realtime:$T","broadcast",{"type":"broadcast","event":"CamelCase","payload":{}}]
			b< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"CamelCase","payload":{}}]`},
		{name: "§8 a member of two topics sends to one of them", script: `
			a join {}
			a> ["2","2","realtime:$T:other","phx_join",{}]
			a< ["2","2","realtime:$T:other","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b join {}
			c> ["1","1","realtime:$T:other","phx_join",{}]
			c< ["1","1","realtime:$T:other","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["2","3","realtime:$T:other","broadcast",` + x + `]
			c< [null,null,"realtime:$T:other","broadcast",` + x + `]
			b nothing
			a nothing`},
		{name: "§8 the order of one sender in one topic is kept", run: func(s *scene) {
			s.play(`
				a join {}
				b join {}`)
			const messages = 100
			for i := range messages {
				s.client("a").say(s.everywhere(fmt.Sprintf(`["1",null,"realtime:$T","broadcast",{"event":"x","n":%d}]`, i)))
			}
			for i := range messages {
				s.play(fmt.Sprintf(`b< [null,null,"realtime:$T","broadcast",{"event":"x","n":%d}]`, i))
			}
		}},
		{name: "§8 text and binary broadcasts of one sender keep their order", vsn: "2", script: `
			a join {}
			b join {}
			a> ["1","2","realtime:$T","broadcast",{"event":"one"}]
			a>3 ["1","3","realtime:$T","two",null,{}]
			a> ["1","4","realtime:$T","broadcast",{"event":"three"}]
			b< [null,null,"realtime:$T","broadcast",{"event":"one"}]
			b<4 ["realtime:$T","two",null,{}]
			b< [null,null,"realtime:$T","broadcast",{"event":"three"}]`},
	})
}

// §8: payloads over the limit.
func TestPayloadSize(t *testing.T) {
	t.Parallel()
	const limit = 3_000_500
	large := strings.Repeat("x", limit)
	var cases []behaviour
	for _, room := range []string{"public", "private"} {
		private := fmt.Sprintf(`"private":%v`, room == "private")
		cases = append(cases,
			behaviour{name: "§8 a payload over the limit is answered with the bare text, with ack, in a " + room + " channel", run: func(s *scene) {
				s.words["large"] = large
				s.play(`
					a join {` + private + `,"broadcast":{"ack":true}}
					b join {` + private + `}
					a> ["1","2","realtime:$T","broadcast",{"event":"x","payload":"$large"}]
					a< ["1","2","realtime:$T","phx_reply",{"status":"error","response":"payload_size_exceeded"}]
					a nothing
					b nothing`)
			}},
			behaviour{name: "§8 a payload over the limit is dropped in silence, without ack, in a " + room + " channel", run: func(s *scene) {
				s.words["large"] = large
				s.play(`
					a join {` + private + `}
					b join {` + private + `}
					a> ["1","2","realtime:$T","broadcast",{"event":"x","payload":"$large"}]
					a nothing
					b nothing
					a> ["1","3","realtime:$T","broadcast",{"event":"small"}]
					b< [null,null,"realtime:$T","broadcast",{"event":"small"}]`)
			}})
	}
	cases = append(cases,
		behaviour{name: "§8 a binary payload over the limit is answered with the bare text, with ack", vsn: "2", run: func(s *scene) {
			s.play(`a join {"broadcast":{"ack":true}}`)
			s.client("a").push(0, "1", "2", s.everywhere("realtime:$T"), "x", "", []byte(large+"x"))
			s.play(`a< ["1","2","realtime:$T","phx_reply",{"status":"error","response":"payload_size_exceeded"}]`)
		}},
		behaviour{name: "§8 a payload just under the limit arrives", vsn: "2", run: func(s *scene) {
			s.play(`
				a join {"broadcast":{"ack":true}}
				b join {}`)
			s.client("a").push(0, "1", "2", s.everywhere("realtime:$T"), "x", "", []byte(large[:limit-600]))
			s.play(`a< ["1","2","realtime:$T","phx_reply",{"status":"ok","response":{"...":0}}]`)
			if h := s.client("b").hear(); !h.binary || len(h.parts[3].(string)) != 2*(limit-600) {
				s.t.Errorf("something else came")
			}
		}},
	)
	table(t, plain(t), cases)
}
