package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
)

// centrifugo is the bidirectional JSON protocol of Centrifugo: commands with an id, replies with the same, pushes
// without. A WebSocket message holds one of them, or several, each on a line.
type centrifugo struct{}

func (centrifugo) endpoint(address *url.URL) string {
	return orPath(address, "/connection/websocket").String()
}

// A client connects with command 1, and subscribes in the same breath, as centrifuge-js does, with command 2.
const centrifugoConnect, centrifugoSubscribe = 1, 2

// enter subscribes all but publishers: a subscriber of Centrifugo receives what it has sent itself.
func (centrifugo) enter(room string, publishes bool, heard []byte) (say []byte, in bool, err error) {
	last := centrifugoSubscribe
	if publishes {
		last = centrifugoConnect
	}
	if heard == nil {
		say = []byte(`{"id":1,"connect":{}}`)
		if !publishes {
			say = fmt.Appendf(say, "\n{\"id\":2,\"subscribe\":{\"channel\":%q}}", room)
		}
		return say, false, nil
	}
	for line := range bytes.SplitSeq(heard, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var reply struct {
			ID    int `json:"id"`
			Error *struct {
				Message string `json:"message"`
			} `json:"error"`
			Push *struct {
				Disconnect *struct {
					Reason string `json:"reason"`
				} `json:"disconnect"`
			} `json:"push"`
		}
		if err := json.Unmarshal(line, &reply); err != nil {
			return nil, false, fmt.Errorf("reading a reply: %w", err)
		}
		switch {
		case reply.Error != nil:
			return nil, false, fmt.Errorf("refused: %s", reply.Error.Message)
		case reply.Push != nil && reply.Push.Disconnect != nil:
			return nil, false, errors.New("refused: " + reply.Push.Disconnect.Reason)
		}
		in = in || reply.ID == last
	}
	return nil, in, nil
}

// appendPublish uses one id for all messages: nobody waits for the reply, which the server sends in any case.
func (centrifugo) appendPublish(dst []byte, room string, m *message) []byte {
	dst = fmt.Appendf(dst, `{"id":3,"publish":{"channel":%q,"data":`, room)
	return append(append(dst, m.text...), "}}"...)
}

var centrifugoPing = []byte("{}")

// answer returns a ping, which may be a line among others.
func (centrifugo) answer(heard []byte) []byte {
	for line := range bytes.SplitSeq(heard, []byte("\n")) {
		if bytes.Equal(line, centrifugoPing) {
			return centrifugoPing
		}
	}
	return nil
}
