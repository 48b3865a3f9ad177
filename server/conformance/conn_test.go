package conformance

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"
)

// conn is one client's socket in a scene.
type conn struct {
	scene *scene
	name  string
	vsn   string // "1" or "2"
	ws    *websocket.Conn
	beats int
	ahead []heard // heard already, but not yet listened to
}

// dial opens a socket for a client of the scene.
func (s *scene) dial(name, vsn, address, token string) *conn {
	s.t.Helper()
	query := url.Values{"vsn": {vsn + ".0.0"}, "apikey": {token}}
	return s.dialWith(name, vsn, "ws://"+address+"/socket/websocket?"+query.Encode(), nil)
}

func (s *scene) dialWith(name, vsn, url string, header http.Header) *conn {
	s.t.Helper()
	ws, response, err := websocket.DefaultDialer.Dial(url, header)
	if err != nil {
		status := ""
		if response != nil {
			body, _ := io.ReadAll(response.Body) // part of a failure's message
			status = fmt.Sprintf(": %s %s", response.Status, body)
		}
		s.t.Fatalf("%s cannot connect: %v%s", name, err, status)
	}
	s.t.Cleanup(func() { ws.Close() })
	c := &conn{scene: s, name: name, vsn: vsn, ws: ws}
	s.conns[name] = c
	s.order = append(s.order, c)
	return c
}

// write sends one WebSocket message.
func (c *conn) write(kind int, message []byte) {
	c.scene.t.Helper()
	c.scene.note(c, ">", kind, message)
	if err := c.ws.WriteMessage(kind, message); err != nil {
		c.scene.t.Fatalf("%s cannot send: %v", c.name, err)
	}
}

// say sends a text frame that is written as an array of version 2.
func (c *conn) say(frame string) {
	c.scene.t.Helper()
	c.write(websocket.TextMessage, c.text(frame))
}

// text is how c writes a frame that is given as an array of version 2.
func (c *conn) text(frame string) []byte {
	c.scene.t.Helper()
	if c.vsn == "2" {
		return []byte(frame)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal([]byte(frame), &parts); err != nil || len(parts) != 5 {
		c.scene.t.Fatalf("a frame in a script must be an array of five: %s (%v)", frame, err)
	}
	object := map[string]json.RawMessage{"ref": parts[1], "topic": parts[2], "event": parts[3], "payload": parts[4]}
	if string(parts[0]) != "null" {
		object["join_ref"] = parts[0]
	}
	text, err := json.Marshal(object)
	if err != nil {
		c.scene.t.Fatal(err)
	}
	return text
}

// push sends a binary frame of kind 3.
func (c *conn) push(encoding byte, joinRef, ref, topic, event, meta string, payload []byte) {
	c.scene.t.Helper()
	frame := []byte{3, byte(len(joinRef)), byte(len(ref)), byte(len(topic)), byte(len(event)), byte(len(meta)), encoding}
	frame = append(frame, joinRef+ref+topic+event+meta...)
	c.write(websocket.BinaryMessage, append(frame, payload...))
}

// heard is one message of the server, taken apart.
type heard struct {
	binary bool
	// parts are [join_ref,ref,topic,event,payload] of a text frame, of which version 1 has no join_ref;
	// [topic,event,metadata,payload] of a binary one.
	parts []any
	raw   bool // binary: the payload is bytes, in hex
}

// hear returns the next message.
func (c *conn) hear() heard {
	c.scene.t.Helper()
	if len(c.ahead) > 0 {
		h := c.ahead[0]
		c.ahead = c.ahead[1:]
		return h
	}
	return c.next()
}

// next reads the next message off the wire.
func (c *conn) next() heard {
	c.scene.t.Helper()
	kind, message, err := c.read()
	if err != nil {
		c.scene.t.Fatalf("%s waits for a message: %v", c.name, err)
	}
	h, err := c.take(kind, message)
	if err != nil {
		c.scene.t.Fatalf("%s hears something malformed: %v", c.name, err)
	}
	return h
}

// read returns the next message as it is.
func (c *conn) read() (int, []byte, error) {
	if err := c.ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	kind, message, err := c.ws.ReadMessage()
	if err == nil {
		c.scene.note(c, "<", kind, message)
	}
	return kind, message, err
}

// take reads a frame strictly by its version: no key or part more, none less.
func (c *conn) take(kind int, message []byte) (heard, error) {
	if kind == websocket.BinaryMessage {
		if c.vsn == "1" {
			return heard{}, errors.New("version 1 has no binary frames")
		}
		return takeBinary(message)
	}
	v, err := parse(string(message))
	if err != nil {
		return heard{}, err
	}
	if c.vsn == "2" {
		parts, ok := v.([]any)
		if !ok || len(parts) != 5 {
			return heard{}, errors.New("version 2 writes arrays of five")
		}
		return heard{parts: parts}, nil
	}
	object, ok := v.(map[string]any)
	h := heard{parts: []any{nil}}
	for _, key := range []string{"ref", "topic", "event", "payload"} {
		part, has := object[key]
		ok = ok && has
		h.parts = append(h.parts, part)
	}
	if !ok || len(object) != 4 {
		return heard{}, errors.New("version 1 writes objects with exactly ref, topic, event and payload")
	}
	return h, nil
}

// takeBinary reads a frame of kind 4.
func takeBinary(message []byte) (heard, error) {
	const header = 5
	if len(message) < header || message[0] != 4 {
		return heard{}, fmt.Errorf("a stock client throws on a binary frame that is not of kind 4: % x", message[:min(len(message), 40)])
	}
	topic, event, meta := int(message[1]), int(message[2]), int(message[3])
	rest := message[header:]
	if len(rest) < topic+event+meta {
		return heard{}, fmt.Errorf("the fields of a frame of kind 4 reach beyond its end: % x", message)
	}
	h := heard{binary: true, raw: message[4] == 0, parts: []any{string(rest[:topic]), string(rest[topic : topic+event]), nil, nil}}
	if text := rest[topic+event:][:meta]; meta > 0 {
		v, err := parse(string(text))
		if err != nil {
			return heard{}, fmt.Errorf("metadata: %w", err)
		}
		h.parts[2] = v
	}
	payload := rest[topic+event+meta:]
	if h.raw {
		h.parts[3] = hex.EncodeToString(payload)
		return h, nil
	}
	v, err := parse(string(payload))
	if err != nil {
		return heard{}, fmt.Errorf("payload: %w", err)
	}
	h.parts[3] = v
	return h, nil
}

// closeCode reads, and takes no frames, until the server ends the connection.
func (c *conn) closeCode() int {
	c.scene.t.Helper()
	if len(c.ahead) > 0 {
		c.scene.t.Fatalf("%s hears %s instead of the end of its connection", c.name, show(c.ahead[0].parts))
	}
	_, message, err := c.read()
	if err == nil {
		c.scene.t.Fatalf("%s hears %.300q instead of the end of its connection", c.name, message)
	}
	var closed *websocket.CloseError
	var timeout net.Error
	switch {
	case errors.As(err, &closed):
		c.scene.log("%s  closed %d %s", c.name, closed.Code, closed.Text)
		c.drop()
		return closed.Code
	case errors.As(err, &timeout) && timeout.Timeout():
		c.scene.t.Fatalf("%s waits for the end of its connection: %v", c.name, err)
	}
	c.scene.log("%s  cut off: %v", c.name, err)
	c.drop()
	return websocket.CloseAbnormalClosure // a connection that is cut off has no code of its own
}

// beat makes a round trip: what the server queued for the client before it answers comes before the answer,
// or at the latest before the next one.
func (c *conn) beat() (before []heard) {
	c.scene.t.Helper()
	c.beats++
	ref := fmt.Sprintf("beat-%d", c.beats)
	c.say(fmt.Sprintf(`[null,%q,"phoenix","heartbeat",{}]`, ref))
	for {
		h := c.next()
		if !h.binary && h.parts[2] == "phoenix" && h.parts[1] == ref {
			return before
		}
		before = append(before, h)
	}
}

// drop takes the client off the scene.
func (c *conn) drop() {
	c.ws.Close()
	delete(c.scene.conns, c.name)
	for i, other := range c.scene.order {
		if other == c {
			c.scene.order = append(c.scene.order[:i:i], c.scene.order[i+1:]...)
			return
		}
	}
}

// flush makes a round trip, so that what the client has sent so far is handled. What it hears on the way
// stays to be listened to.
func (c *conn) flush() {
	c.scene.t.Helper()
	c.ahead = append(c.ahead, c.beat()...)
}

// isClosed says whether an error of reading is a close frame with a code.
func isClosed(err error, code int) bool {
	var closed *websocket.CloseError
	return errors.As(err, &closed) && closed.Code == code
}

// peek is the next message, which stays to be heard.
func (c *conn) peek() heard {
	c.scene.t.Helper()
	h := c.hear()
	c.ahead = append([]heard{h}, c.ahead...)
	return h
}

// skip takes a message that was peeked at away; it is never the end of a wait.
func (c *conn) skip() bool {
	c.ahead = c.ahead[1:]
	return false
}

// rest makes a round trip and takes everything that came until then.
func (c *conn) rest() []heard {
	c.scene.t.Helper()
	c.flush()
	rest := c.ahead
	c.ahead = nil
	return rest
}
