package conformance

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

var methodHS256 = jwt.SigningMethodHS256

var (
	wordPattern = regexp.MustCompile(`\$\w+`)
	// linePattern cuts a line of frames into the client, the direction, the form and the frame.
	linePattern = regexp.MustCompile(`^(\w+)([<>~])(raw|3b|3|4b|4)? (.*)$`)
)

// play runs a script; the package comment describes its lines.
func (s *scene) play(script string) {
	s.t.Helper()
	var group []string // lines of ~ for one client, in any order
	flush := func() {
		s.t.Helper()
		s.expectAll(group)
		group = nil
	}
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		m := linePattern.FindStringSubmatch(line)
		if m == nil || m[2] != "~" {
			flush()
		}
		switch {
		case m == nil:
			s.act(line)
		case m[2] == ">":
			s.send(s.client(m[1]), m[3], s.everywhere(m[4]))
		case m[2] == "<":
			s.expectAll([]string{line})
		default:
			if len(group) > 0 && !strings.HasPrefix(group[0], m[1]+"~") {
				flush()
			}
			group = append(group, line)
		}
	}
	flush()
}

// act runs a line that is not a frame.
func (s *scene) act(line string) {
	s.t.Helper()
	name, what, _ := strings.Cut(line, " ")
	if name == "sql" {
		s.sql(what)
		return
	}
	verb, rest, _ := strings.Cut(what, " ")
	switch verb {
	case "as":
		s.as(name, rest)
	case "join":
		s.join(name, "realtime:"+s.words["T"], s.everywhere(rest))
	case "leave":
		s.client(name).say(s.everywhere(`["1","99","realtime:$T","phx_leave",{}]`))
		s.play(strings.ReplaceAll(`
			X< ["1","99","realtime:$T","phx_reply",{"status":"ok","response":{}}]
			X< ["1","1","realtime:$T","phx_close",{}]`, "X", name))
	case "nothing":
		s.nothing(s.client(name))
	case "hangs":
		s.client(name).drop()
	case "closed":
		code, err := strconv.Atoi(rest)
		if err != nil {
			s.t.Fatalf("script: %s: %v", line, err)
		}
		if got := s.client(name).closeCode(); got != code {
			s.t.Fatalf("%s: the connection ended with %d", line, got)
		}
	default:
		s.t.Fatalf("script: %q is no line of a script", line)
	}
}

// join joins a topic with a config and hears ok.
func (s *scene) join(name, topic, config string) {
	s.t.Helper()
	if config == "" {
		config = "{}"
	}
	s.words["topic"], s.words["config"] = topic, config
	s.play(strings.ReplaceAll(`
		X> ["1","1","$topic","phx_join",{"config":$config}]
		X< ["1","1","$topic","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`, "X", name))
}

// send sends a frame in one of the forms of a script.
func (s *scene) send(c *conn, form, frame string) {
	s.t.Helper()
	switch form {
	case "raw":
		c.write(websocket.TextMessage, []byte(frame))
	case "3", "3b":
		var parts []json.RawMessage
		if err := json.Unmarshal([]byte(frame), &parts); err != nil || len(parts) != 6 {
			s.t.Fatalf("script: a frame of kind 3 has six parts: %s (%v)", frame, err)
		}
		var joinRef, ref, topic, event string
		for i, part := range []*string{&joinRef, &ref, &topic, &event} {
			if err := json.Unmarshal(parts[i], part); err != nil {
				s.t.Fatalf("script: %s: %v", frame, err)
			}
		}
		meta, payload, encoding := string(parts[4]), []byte(parts[5]), byte(1)
		if meta == "null" {
			meta = ""
		}
		if form == "3b" {
			encoding = 0
			var digits string
			err := json.Unmarshal(payload, &digits)
			if err == nil {
				payload, err = hex.DecodeString(digits)
			}
			if err != nil {
				s.t.Fatalf("script: %s: %v", frame, err)
			}
		}
		c.push(encoding, joinRef, ref, topic, event, meta, payload)
	default:
		c.say(frame)
	}
}

// expectAll checks the next messages of one client, in any order.
func (s *scene) expectAll(lines []string) {
	s.t.Helper()
	for open := append([]string(nil), lines...); len(open) > 0; {
		m := linePattern.FindStringSubmatch(open[0])
		c := s.client(m[1])
		h := c.hear()
		var problems []string
		found := -1
		for i, line := range open {
			err := s.compare(c, line, h)
			if err == nil {
				found = i
				break
			}
			problems = append(problems, line+"\n\t\t"+err.Error())
		}
		if found < 0 {
			s.t.Fatalf("%s hears\n\t%s\nbut should hear\n\t%s", c.name, show(h.parts), strings.Join(problems, "\n\t"))
		}
		open = append(open[:found], open[found+1:]...)
	}
}

// compare checks a message against a line of a script.
func (s *scene) compare(c *conn, line string, h heard) error {
	m := linePattern.FindStringSubmatch(line)
	v, err := parse(s.everywhere(m[4]))
	if err != nil {
		s.t.Fatalf("script: %v", err)
	}
	want, ok := v.([]any)
	form := m[3]
	if size := map[string]int{"": 5, "4": 4, "4b": 4}[form]; !ok || len(want) != size {
		s.t.Fatalf("script: %s has not its %d parts", line, size)
	}
	if got := formOf(h); got != form {
		return fmt.Errorf("it is of form %q, want %q", got, form)
	}
	if form == "" && c.vsn == "1" {
		want[0] = nil // version 1 has no join_ref
	}
	names := map[string]string{}
	for name, value := range s.names {
		names[name] = value
	}
	if err := match(want, h.parts, names); err != nil {
		return err
	}
	s.names = names
	return nil
}

func formOf(h heard) string {
	switch {
	case !h.binary:
		return ""
	case h.raw:
		return "4b"
	}
	return "4"
}

// nothing shows that nothing else has been sent to a client. See the package comment.
func (s *scene) nothing(c *conn) {
	s.t.Helper()
	for _, other := range s.order {
		if other != c {
			other.flush()
		}
	}
	c.flush()
	c.flush()
	if len(c.ahead) > 0 {
		s.t.Fatalf("%s should hear nothing, but hears %s", c.name, show(c.ahead[0].parts))
	}
}
