package bench

import (
	"net/url"
	"os"
	"strings"
	"testing"
)

func TestEndpoint(t *testing.T) {
	for _, c := range []struct{ dialect, address, want string }{
		{"supabase", "ws://127.0.0.1:4000", "ws://127.0.0.1:4000/socket/websocket?vsn=2.0.0"},
		{"supabase", "ws://127.0.0.1:4000/socket?apikey=k", "ws://127.0.0.1:4000/socket/websocket?apikey=k&vsn=2.0.0"},
		{"supabase", "ws://127.0.0.1:4000/realtime/v1/websocket", "ws://127.0.0.1:4000/realtime/v1/websocket?vsn=2.0.0"},
		{"centrifugo", "ws://127.0.0.1:8000/", "ws://127.0.0.1:8000/connection/websocket"},
		{"centrifugo", "ws://127.0.0.1:8000/my/path?x=1", "ws://127.0.0.1:8000/my/path?x=1"},
		{"socketio", "ws://127.0.0.1:3000", "ws://127.0.0.1:3000/socket.io/?EIO=4&transport=websocket"},
	} {
		address, err := url.Parse(c.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := dialects[c.dialect].endpoint(address); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.dialect, c.address, got, c.want)
		}
	}
}

// A dialogue is what the server says, "" for the connection being made, and what the client answers. After the last
// answer the client is in the room, or knows why it is not.
func TestEnter(t *testing.T) {
	const join = `["1","1","realtime:r","phx_join",{"config":{"private":false,"broadcast":{"ack":false,"self":false},"presence":{"enabled":false,"key":""},"postgres_changes":[]}}]`
	const connect, subscribe = `{"id":1,"connect":{}}`, "\n" + `{"id":2,"subscribe":{"channel":"r"}}`
	for name, c := range map[string]struct {
		dialect   Dialect
		publishes bool
		dialogue  [][2]string
		refused   string
	}{
		"supabase": {dialect: supabase{}, dialogue: [][2]string{
			{"", join},
			{`[null,null,"realtime:r","system",{}]`, ""},
			{`["1","1","realtime:r","phx_reply",{"status":"ok","response":{}}]`, ""},
		}},
		"supabase refuses": {dialect: supabase{}, refused: "refused: no room", dialogue: [][2]string{
			{"", join},
			{`["1","1","realtime:r","phx_reply",{"status":"error","response":{"reason":"no room"}}]`, ""},
		}},
		"centrifugo": {dialect: centrifugo{}, dialogue: [][2]string{
			{"", connect + subscribe},
			{`{"id":1,"connect":{"client":"c","version":"5.4.9","ping":25,"pong":true}}`, ""},
			{`{"push":{"channel":"r","pub":{"data":{}}}}` + "\n" + `{"id":2,"subscribe":{}}`, ""},
		}},
		"centrifugo, both replies at once": {dialect: centrifugo{}, dialogue: [][2]string{
			{"", connect + subscribe},
			{`{"id":1,"connect":{}}` + "\n" + `{"id":2,"subscribe":{}}` + "\n", ""},
		}},
		"centrifugo, a publisher": {dialect: centrifugo{}, publishes: true, dialogue: [][2]string{
			{"", connect},
			{`{"id":1,"connect":{}}`, ""},
		}},
		"centrifugo refuses": {dialect: centrifugo{}, refused: "refused: permission denied", dialogue: [][2]string{
			{"", connect + subscribe},
			{`{"id":1,"connect":{}}` + "\n" + `{"id":2,"error":{"code":103,"message":"permission denied"}}`, ""},
		}},
		"centrifugo disconnects": {dialect: centrifugo{}, refused: "refused: bad request", dialogue: [][2]string{
			{"", connect + subscribe},
			{`{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}`, ""},
		}},
		"centrifugo talks nonsense": {dialect: centrifugo{}, refused: "reading a reply", dialogue: [][2]string{{"", connect + subscribe}, {`<html>`, ""}}},
		"socketio": {dialect: socketIO{}, dialogue: [][2]string{
			{"", ""},
			{`0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}`, "40"},
			{`40{"sid":"t"}`, `420["join","r"]`},
			{`42["update",{}]`, ""},
			{`430[]`, ""},
		}},
		"socketio refuses": {dialect: socketIO{}, refused: `refused: {"message":"no"}`, dialogue: [][2]string{
			{`0{"sid":"s"}`, "40"}, {`44{"message":"no"}`, ""},
		}},
	} {
		for i, line := range c.dialogue {
			var heard []byte
			if line[0] != "" {
				heard = []byte(line[0])
			}
			say, in, err := c.dialect.enter("r", c.publishes, heard)
			last := i == len(c.dialogue)-1
			if string(say) != line[1] || in != (last && c.refused == "") {
				t.Errorf("%s: to %q it says %q, in %v; want %q", name, line[0], say, in, line[1])
			}
			if refused := last && c.refused != ""; refused && (err == nil || !strings.Contains(err.Error(), c.refused)) || !refused && err != nil {
				t.Errorf("%s: to %q: %v", name, line[0], err)
			}
		}
	}
}

func TestPublish(t *testing.T) {
	m := (send{lane: 1, seq: 7}).message()
	for name, c := range map[string]struct {
		dialect     Dialect
		before, end string
	}{
		"centrifugo": {centrifugo{}, `{"id":3,"publish":{"channel":"r","data":`, `}}`},
		"socketio":   {socketIO{}, `42["publish","r",`, `]`},
	} {
		if got, want := string(c.dialect.appendPublish(nil, "r", m)), c.before+string(m.text)+c.end; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		dialect     Dialect
		heard, want string
	}{
		{supabase{}, `[null,null,"t","broadcast",{}]`, ""},
		{centrifugo{}, `{}`, `{}`},
		{centrifugo{}, `{"push":{"channel":"r","pub":{"data":{}}}}` + "\n{}", `{}`},
		{centrifugo{}, `{"push":{"channel":"r","pub":{"data":{}}}}`, ""},
		{socketIO{}, "2", "3"},
		{socketIO{}, `42["update",2]`, ""},
	} {
		if got := c.dialect.answer([]byte(c.heard)); string(got) != c.want {
			t.Errorf("%T answers %q with %q, want %q", c.dialect, c.heard, got, c.want)
		}
	}
}

func TestNoPeers(t *testing.T) {
	if _, err := Peers(t.TempDir()); err == nil || !strings.Contains(err.Error(), "make bench-peers") {
		t.Errorf("got %v", err)
	}
}

// Every benchmark runs against the real peers, where they are installed, and loses nothing.
func TestPeers(t *testing.T) {
	const dir = "../run/peers"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the peers are not installed: run `make bench-peers`")
	}
	peers, err := Peers(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range peers {
		if s.Version == "" {
			t.Errorf("%s has no version", s.Name)
		}
	}
	report, err := Run(t.Context(), Config{Subjects: append(peers, FloorSubject(os.Args[0], "floor")), Rounds: 1, Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Rounds {
		if r.Delivered != r.Expected || r.Expected == 0 {
			t.Errorf("%v: %d of %d delivered", r, r.Delivered, r.Expected)
		}
	}
}
