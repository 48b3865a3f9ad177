package conformance

import (
	"fmt"
	"testing"
)

// Ours: hierarchical and vendor channels. A wedding is one room; what is published below reaches above. The
// protocol has no such thing, and clients that join one topic notice nothing.
func TestHierarchy(t *testing.T) {
	t.Parallel()
	// wedding runs a script with a wedding of its own as $W.
	wedding := func(script string) func(*scene) {
		return func(s *scene) {
			s.words["W"] = fmt.Sprintf("wedding:%d", topics.Add(1))
			s.words["other"] = s.words["W"] + "0"
			s.play(script)
		}
	}
	// on joins a topic with a config.
	on := func(name, topic, config string) string {
		return fmt.Sprintf(`
			%[1]s> ["1","1","realtime:%[2]s","phx_join",{"config":%[3]s}]
			%[1]s< ["1","1","realtime:%[2]s","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`, name, topic, config)
	}
	table(t, plain(t), []behaviour{
		{name: "§19 a wedding hears its timeline, under its own topic and with the channel in meta", run: wedding(on("top", "$W", "{}") + on("a", "$W:timeline", "{}") + `
			a> ["1","2","realtime:$W:timeline","broadcast",{"event":"x"}]
			top< [null,null,"realtime:$W","broadcast",{"event":"x","meta":{"channel":"$W:timeline"}}]`)},
		{name: "§19 members of the same channel get no channel in meta", run: wedding(on("b", "$W:timeline", "{}") + on("a", "$W:timeline", "{}") + `
			a> ["1","2","realtime:$W:timeline","broadcast",{"event":"x"}]
			b< [null,null,"realtime:$W:timeline","broadcast",{"event":"x"}]`)},
		{name: "§19 a binary push from below has the channel in its metadata", vsn: "2", run: wedding(on("top", "$W", "{}") + on("a", "$W:timeline", "{}") + `
			a>3 ["1","2","realtime:$W:timeline","x",null,{"a":1}]
			top<4 ["realtime:$W","x",{"channel":"$W:timeline"},{"a":1}]`)},
		{name: "§19 a timeline does not hear the wedding, nor another area", run: wedding(on("top", "$W", "{}") + on("a", "$W:timeline", "{}") + on("b", "$W:guests", "{}") + `
			top> ["1","2","realtime:$W","broadcast",{"event":"x"}]
			b> ["1","2","realtime:$W:guests","broadcast",{"event":"y"}]
			a nothing`)},
		{name: "§19 a florist is sent what concerns florists; the wedding and all vendors above hear it", run: wedding(
			on("top", "$W", "{}") + on("vendors", "$W:vendor", "{}") + on("florist", "$W:vendor:florist", "{}") + on("dj", "$W:vendor:dj", "{}") + on("a", "$W:vendor:florist", "{}") + `
			a> ["1","2","realtime:$W:vendor:florist","broadcast",{"event":"roses"}]
			florist< [null,null,"realtime:$W:vendor:florist","broadcast",{"event":"roses"}]
			vendors< [null,null,"realtime:$W:vendor","broadcast",{"event":"roses","meta":{"channel":"$W:vendor:florist"}}]
			top< [null,null,"realtime:$W","broadcast",{"event":"roses","meta":{"channel":"$W:vendor:florist"}}]
			dj nothing`)},
		{name: "§19 urgent reaches everybody, wherever it was published", run: wedding(
			on("top", "$W", "{}") + on("florist", "$W:vendor:florist", "{}") + on("timeline", "$W:timeline", "{}") + on("a", "$W:guests", "{}") + `
			a> ["1","2","realtime:$W:guests","broadcast",{"event":"urgent","payload":"storm"}]
			top< [null,null,"realtime:$W","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"<id=uuid>","lane":"urgent","hlc":"<n>","channel":"$W:guests"}}]
			florist< [null,null,"realtime:$W:vendor:florist","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"<id>","lane":"urgent","hlc":"<n>","channel":"$W:guests"}}]
			timeline< [null,null,"realtime:$W:timeline","broadcast",{"event":"urgent","payload":"storm","meta":{"id":"<id>","lane":"urgent","hlc":"<n>","channel":"$W:guests"}}]
			a nothing`)},
		{name: "§19 urgent of a wedding does not reach another", run: wedding(on("a", "$W", "{}") + on("b", "$other", "{}") + on("c", "$W:x", "{}") + `
			a> ["1","2","realtime:$W","broadcast",{"event":"urgent"}]
			c< [null,null,"realtime:$W:x","broadcast",{"event":"urgent","meta":{"...":0}}]
			b nothing`)},
		{name: "§19 names are told apart whole: time is not above timeline", run: wedding(on("b", "$W:time", "{}") + on("a", "$W:timeline", `{"broadcast":{"self":true}}`) + `
			a> ["1","2","realtime:$W:timeline","broadcast",{"event":"x"}]
			a< [null,null,"realtime:$W:timeline","broadcast",{"event":"x"}]
			b nothing`)},
		{name: "§19 a private wedding and a public one of the same name do not meet", run: wedding(on("b", "$W", `{"private":true}`) + on("a", "$W:timeline", `{"broadcast":{"self":true}}`) + `
			a> ["1","2","realtime:$W:timeline","broadcast",{"event":"urgent"}]
			a< [null,null,"realtime:$W:timeline","broadcast",{"event":"urgent","meta":{"...":0}}]
			b nothing`)},
		{name: "§19 REST and the socket agree where a topic is", run: func(s *scene) {
			wedding(on("top", "$W", "{}") + on("a", "$W:timeline", "{}"))(s)
			s.accepted("/api/broadcast", jsonType, `{"messages":[{"topic":"$W:timeline","event":"x","payload":{}}]}`)
			s.play(`
				a< [null,null,"realtime:$W:timeline","broadcast",{"type":"broadcast","event":"x","payload":{}}]
				top< [null,null,"realtime:$W","broadcast",{"type":"broadcast","event":"x","payload":{},"meta":{"channel":"$W:timeline"}}]`)
		}},
		{name: "§19 other topics with colons are rooms of their own", run: func(s *scene) {
			s.play(`a join {}` + on("b", "$T:below", `{"broadcast":{"self":true}}`) + `
				b> ["1","2","realtime:$T:below","broadcast",{"event":"urgent"}]
				b< [null,null,"realtime:$T:below","broadcast",{"event":"urgent","meta":{"...":0}}]
				a nothing`)
		}},
		{name: "§19 replay of a wedding has its children, with their channels", run: wedding(on("a", "$W:timeline", `{"private":true,"broadcast":{"ack":true}}`) + `
			a> ["1","2","realtime:$W:timeline","broadcast",{"event":"x"}]
			a< ["1","2","realtime:$W:timeline","phx_reply",{"status":"ok","response":{"...":0}}]
			top> ["5","5","realtime:$W","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":0}}}}]
			top< ["5","5","realtime:$W","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			top< ["5",null,"realtime:$W","broadcast",{"event":"x","meta":{"replayed":true,"id":"<uuid>","hlc":"<n>","channel":"$W:timeline"}}]
			top nothing
			below> ["5","5","realtime:$W:guests","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":0}}}}]
			below< ["5","5","realtime:$W:guests","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			below nothing`)},
		{name: "§19 a limit of replay counts what concerns the channel, and nothing else", run: wedding(on("a", "$W:timeline", `{"private":true,"broadcast":{"ack":true}}`) + on("b", "$W:guests", `{"private":true,"broadcast":{"ack":true}}`) + `
			a> ["1","2","realtime:$W:timeline","broadcast",{"event":"mine"}]
			a< ["1","2","realtime:$W:timeline","phx_reply",{"status":"ok","response":{"...":0}}]
			b> ["1","3","realtime:$W:guests","broadcast",{"event":"theirs"}]
			b< ["1","3","realtime:$W:guests","phx_reply",{"status":"ok","response":{"...":0}}]
			c> ["5","5","realtime:$W:timeline","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":0,"limit":1}}}}]
			c< ["5","5","realtime:$W:timeline","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			c< ["5",null,"realtime:$W:timeline","broadcast",{"event":"mine","meta":{"replayed":true,"...":0}}]
			c nothing`)},
		{name: "§19 a member that resumes a wedding gets what it missed below", run: wedding(on("a", "$W:timeline", `{"private":true,"broadcast":{"ack":true}}`) + `
			a> ["1","2","realtime:$W:timeline","broadcast",{"event":"x"}]
			a< ["1","2","realtime:$W:timeline","phx_reply",{"status":"ok","response":{"...":0}}]
			top> ["5","5","realtime:$W","phx_join",{"config":{"private":true,"wedsync":{"resume":{"hlc":"1"}}}}]
			top< ["5","5","realtime:$W","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
			top< ["5",null,"realtime:$W","broadcast",{"event":"x","meta":{"replayed":true,"id":"<uuid>","hlc":"<n>","channel":"$W:timeline"}}]
			top< ["5",null,"realtime:$W","system",{"extension":"wedsync","status":"ok","message":"Resumed","channel":"$W"}]`)},
		{name: "§19 presence of a wedding has who is below; a channel below has not who is above", run: wedding(
			on("a", "$W:timeline", `{"presence":{"enabled":true,"key":"a"}}`) + `
			a< ["1",null,"realtime:$W:timeline","presence_state",{}]` + on("top", "$W", `{"presence":{"enabled":true,"key":"top"}}`) + `
			top< ["1",null,"realtime:$W","presence_state",{}]
			a> ["1","2","realtime:$W:timeline","presence",{"type":"presence","event":"track","payload":{}}]
			a~ ["1","2","realtime:$W:timeline","phx_reply",{"status":"ok","response":{}}]
			a~ [null,null,"realtime:$W:timeline","presence_diff",{"joins":{"a":{"metas":[{"phx_ref":"<refa=ref>"}]}},"leaves":{}}]
			top< [null,null,"realtime:$W","presence_diff",{"joins":{"a":{"metas":[{"phx_ref":"<refa>"}]}},"leaves":{}}]
			top> ["1","2","realtime:$W","presence",{"type":"presence","event":"track","payload":{}}]
			top~ ["1","2","realtime:$W","phx_reply",{"status":"ok","response":{}}]
			top~ [null,null,"realtime:$W","presence_diff",{"joins":{"top":"<object>"},"leaves":{}}]
			a nothing`)},
	})
}
