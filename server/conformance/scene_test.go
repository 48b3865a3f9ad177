package conformance

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5"
)

// behaviour is one row of the table: a script, or a function for what a script cannot say.
type behaviour struct {
	name   string // begins with the section of the protocol that describes it
	vsn    string // "1" or "2" if only that version has it
	script string
	run    func(*scene)
}

// table runs cases against a node, side by side.
func table(t *testing.T, n *node, cases []behaviour) {
	t.Helper()
	seen := map[string]bool{}
	for _, b := range cases {
		if !strings.HasPrefix(b.name, "§") || seen[b.name+b.vsn] || (b.script == "") == (b.run == nil) {
			t.Fatalf("%q: a case has a name of its own that begins with its section, and either a script or a function", b.name)
		}
		seen[b.name+b.vsn] = true
		for _, vsn := range []string{"2", "1"} {
			if b.vsn != "" && b.vsn != vsn {
				continue
			}
			t.Run(b.name+"/vsn "+vsn, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, n, vsn)
				if b.run != nil {
					b.run(s)
					return
				}
				s.play(b.script)
			})
		}
	}
}

// scene is one case on its way: its clients, its names, and everything that was said.
type scene struct {
	t     *testing.T
	node  *node
	vsn   string
	words map[string]string // what $name in a script is replaced by; $T is the topic
	names map[string]string // what placeholders have bound

	db    *pgx.Conn // of the case; opened when it is first used
	conns map[string]*conn
	order []*conn // as they connected
	began time.Time
	lines []string // the exchange
	last  string   // of its lines
	again int      // how often that came again
}

// topics numbers the topics of all cases.
var topics atomic.Int64

func newScene(t *testing.T, n *node, vsn string) *scene {
	s := &scene{
		t: t, node: n, vsn: vsn,
		names: map[string]string{}, conns: map[string]*conn{}, began: time.Now(),
	}
	s.words = map[string]string{"T": fmt.Sprintf("room:%d", topics.Add(1)), "vsn": vsn}
	for _, role := range []string{"authenticated", "anon", "service_role"} {
		s.words[role] = sign(t, of(role))
	}
	s.words["expired"] = sign(t, of("authenticated", "exp", time.Now().Add(-time.Hour).Unix()))
	s.words["forged"] = signWith(t, methodHS256, []byte("another secret of the same length"), "", of("service_role"))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the exchange:\n%s", strings.Join(s.lines, "\n"))
		}
	})
	return s
}

// client returns a client of the scene, which connects when it is first asked for.
func (s *scene) client(name string) *conn {
	s.t.Helper()
	if c := s.conns[name]; c != nil {
		return c
	}
	return s.as(name, "authenticated")
}

// as connects a client with a token of a role.
func (s *scene) as(name, role string) *conn {
	s.t.Helper()
	token, ok := s.words[role]
	if !ok {
		token = sign(s.t, of(role))
	}
	return s.dial(name, s.version(name), s.node.Addr(), token)
}

// version is the wire version of a client by its name.
func (s *scene) version(name string) string {
	switch {
	case strings.HasPrefix(name, "old"):
		return "1"
	case strings.HasPrefix(name, "new"):
		return "2"
	}
	return s.vsn
}

// everywhere puts the scene's words into a text.
func (s *scene) everywhere(text string) string {
	for pass := 0; pass < 2 && strings.Contains(text, "$"); pass++ { // words may hold words
		text = wordPattern.ReplaceAllStringFunc(text, func(found string) string {
			if word, ok := s.words[found[1:]]; ok {
				return word
			}
			return found
		})
	}
	return text
}

// note keeps a message for the report of a failure.
func (s *scene) note(c *conn, way string, kind int, message []byte) {
	text := string(message)
	if kind == websocket.BinaryMessage {
		text = fmt.Sprintf("binary %q", message)
	}
	if len(text) > 600 {
		text = fmt.Sprintf("%s… (%d bytes)", text[:600], len(message))
	}
	s.log("%s%s %s", c.name, way, text)
}

func (s *scene) log(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text == s.last {
		s.again++
		return
	}
	if s.again > 0 {
		s.lines = append(s.lines, fmt.Sprintf("            the same %d times more", s.again))
	}
	s.last, s.again = text, 0
	s.lines = append(s.lines, fmt.Sprintf("%7.1f ms  ", float64(time.Since(s.began))/1e6)+text)
}

// reach publishes to a topic as the named client, which has joined it, until all of the others hear it:
// a region learns a moment after a join that somebody of another listens. What is left of that is read away.
func (s *scene) reach(publisher, topic string, listeners ...string) {
	s.t.Helper()
	say := func(event string) {
		s.client(publisher).say(fmt.Sprintf(`["1",null,%q,"broadcast",{"event":%q}]`, "realtime:"+topic, event))
	}
	waitFor(s.t, "a broadcast to reach everybody", func() bool {
		say("probe")
		for _, name := range listeners {
			c := s.client(name)
			if c.flush(); len(c.ahead) == 0 {
				return false
			}
		}
		return true
	})
	say("probed")
	for _, name := range listeners {
		for ended := false; !ended; {
			payload, _ := s.client(name).hear().parts[4].(map[string]any)
			ended = payload["event"] == "probed"
		}
	}
}
