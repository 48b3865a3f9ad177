package conformance

import (
	"fmt"
	"strings"
	"testing"
)

// What holds on one node holds over three regions.
func TestRegions(t *testing.T) {
	t.Parallel()
	nodes := startThree(t)
	table(t, nodes[0], []behaviour{
		{name: "§8 a broadcast reaches members in every region, once", run: func(s *scene) {
			s.play(`a join {}`)
			for i, n := range nodes {
				name := fmt.Sprint("far", i)
				s.dial(name, s.vsn, n.Addr(), s.words["authenticated"])
				s.play(name + " join {}")
			}
			s.reach("a", s.words["T"], "far0", "far1", "far2")
			s.play(`
				a> ["1","2","realtime:$T","broadcast",{"event":"x"}]
				a> ["1","3","realtime:$T","broadcast",{"event":"end"}]`)
			for i := range nodes {
				s.play(fmt.Sprintf(`
					far%d< [null,null,"realtime:$T","broadcast",{"event":"x"}]
					far%d< [null,null,"realtime:$T","broadcast",{"event":"end"}]`, i, i))
			}
		}},
		{name: "§10 who is in another region is seen, and seen to leave", run: func(s *scene) {
			s.dial("b", s.vsn, nodes[1].Addr(), s.words["authenticated"])
			s.play(by("b", present) + by("a", present, tracks) + `
				b< [null,null,"realtime:$T","presence_diff",{"joins":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}},"leaves":{}}]`)
			waitFor(s.t, "the third region to know", func() bool {
				c := s.dial("c", s.vsn, nodes[2].Addr(), s.words["authenticated"])
				defer c.drop()
				s.play(`
					c> ["1","1","realtime:$T","phx_join",{"config":{"presence":{"enabled":true}}}]
					c< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
					c< ["1",null,"realtime:$T","presence_state",{"...":0}]`)
				return strings.Contains(s.lines[len(s.lines)-1], s.names["refa"])
			})
			s.play(`
				a hangs up
				b< [null,null,"realtime:$T","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"n":1,"phx_ref":"<refa>"}]}}}]`)
		}},
		{name: "§19 a wedding hears its children in another region", run: func(s *scene) {
			s.words["W"] = fmt.Sprintf("wedding:%d", topics.Add(1))
			s.dial("far", s.vsn, nodes[1].Addr(), s.words["authenticated"])
			s.play(`
				far> ["1","1","realtime:$W","phx_join",{}]
				far< ["1","1","realtime:$W","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
				a> ["1","1","realtime:$W:timeline","phx_join",{}]
				a< ["1","1","realtime:$W:timeline","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
			s.reach("a", s.words["W"]+":timeline", "far")
			s.play(`
				a> ["1","2","realtime:$W:timeline","broadcast",{"event":"x"}]
				far< [null,null,"realtime:$W","broadcast",{"event":"x","meta":{"channel":"$W:timeline"}}]`)
		}},
	})
}
