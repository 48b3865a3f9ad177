package conformance

import (
	"strings"
	"testing"
)

// §4: what a topic is, and who is in the same room.
func TestTopics(t *testing.T) {
	t.Parallel()
	n := plain(t)
	cases := []behaviour{
		{name: "§4 realtime: alone is refused", script: `
			a> ["1","1","realtime:","phx_join",{}]
			a< ["1","1","realtime:","phx_reply",{"status":"error","response":{"reason":"TopicNameRequired: You must provide a topic name"}}]`},
		{name: "§4 a topic may be as long as a binary frame can name", run: func(s *scene) {
			s.words["T"] = s.words["T"] + strings.Repeat("x", 255-len("realtime:")-len(s.words["T"]))
			s.play(`
				new1 join {"broadcast":{"self":true}}
				new1>3 ["1","2","realtime:$T","x",null,{"a":1}]
				new1<4 ["realtime:$T","x",null,{"a":1}]`)
		}},
		{name: "§4 topics are told apart by their case and white space", script: `
			a> ["1","1","realtime:$T","phx_join",{}]
			a< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b> ["1","1","realtime:$T ","phx_join",{"config":{"broadcast":{"self":true}}}]
			b< ["1","1","realtime:$T ","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			b> ["1","2","realtime:$T ","broadcast",{"event":"x"}]
			b< [null,null,"realtime:$T ","broadcast",{"event":"x"}]
			a nothing`},
		{name: "§4 a room hears nothing of another", script: `
			a join {"broadcast":{"self":true}}
			b> ["1","1","realtime:$T:below","phx_join",{}]
			b< ["1","1","realtime:$T:below","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]
			b nothing`},
		{name: "§4 a private publish never reaches a public subscriber", script: `
			a join {"private":true,"broadcast":{"self":true}}
			b join {}
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]
			b nothing`},
		{name: "§4 a public publish never reaches a private subscriber", script: `
			a join {"broadcast":{"self":true}}
			b join {"private":true}
			a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$T","broadcast",{"event":"x"}]
			b nothing`},
		{name: "§4 REST publishes are public or private, too", run: func(s *scene) {
			s.play(`
				a join {"private":true}
				b join {}`)
			s.accepted("/api/broadcast", jsonType, `{"messages":[{"topic":"$T","event":"secret","payload":{},"private":true}]}`)
			s.play(`
				a< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"secret","payload":{}}]
				b nothing`)
			s.accepted("/api/broadcast", jsonType, `{"messages":[{"topic":"$T","event":"open","payload":{}}]}`)
			s.play(`
				b< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"open","payload":{}}]
				a nothing`)
		}},
		{name: "§4 REST names the sub-topic, without the prefix", run: func(s *scene) {
			s.play(`a join {}`)
			s.accepted("/api/broadcast", jsonType, `{"messages":[{"topic":"realtime:$T","event":"elsewhere","payload":{}},{"topic":"$T","event":"here","payload":{}}]}`)
			s.play(`
				a< [null,null,"realtime:$T","broadcast",{"type":"broadcast","event":"here","payload":{}}]
				a nothing`)
		}},
	}
	for what, sub := range map[string]string{
		"colons": `a:b::c:`, "spaces": `the wedding of Ann and Bo`, "slashes": `a/b/../c?d=e&f#g`, "other scripts": `Hochzeit-Müller-✿-結婚`,
		"quotes and backslashes": `a\"b\\c`, "dots and wild cards": `a.*.>.$b`, "the prefix again": `realtime:x`,
	} {
		cases = append(cases, behaviour{name: "§4 a topic may hold " + what, run: func(s *scene) {
			s.words["T"] += sub
			s.play(`
				a join {"broadcast":{"self":true}}
				a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
				a< [null,null,"realtime:$T","broadcast",{"event":"x"}]
				a leave`)
		}})
	}
	table(t, n, cases)
}
