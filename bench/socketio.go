package bench

import (
	"fmt"
	"net/url"
)

// socketIO is Socket.IO 5 on Engine.IO 4, over the WebSocket transport from the start. The events are those of
// peers/socketio/server.mjs: join(room) with an acknowledgement, publish(room, payload), and update(payload) to the
// others in the room.
type socketIO struct{}

func (socketIO) endpoint(address *url.URL) string {
	u := *orPath(address, "/socket.io/")
	query := u.Query()
	query.Set("EIO", "4")
	query.Set("transport", "websocket")
	u.RawQuery = query.Encode()
	return u.String()
}

// The first digit is the type of the Engine.IO packet, that of a message is followed by the type of the Socket.IO one.
const (
	engineOpen, enginePing, enginePong, engineMessage = '0', '2', '3', '4'

	socketConnect, socketEvent, socketAck, socketRefused = '0', '2', '3', '4'
)

func (socketIO) enter(room string, _ bool, heard []byte) (say []byte, in bool, err error) {
	switch {
	case len(heard) > 0 && heard[0] == engineOpen:
		return []byte{engineMessage, socketConnect}, false, nil
	case len(heard) < 2 || heard[0] != engineMessage:
		return nil, false, nil // the server speaks first
	}
	switch heard[1] {
	case socketConnect:
		return fmt.Appendf([]byte{engineMessage, socketEvent}, `0["join",%q]`, room), false, nil // to be acknowledged as 0
	case socketAck:
		return nil, true, nil
	case socketRefused:
		return nil, false, fmt.Errorf("refused: %s", heard[2:])
	}
	return nil, false, nil
}

func (socketIO) appendPublish(dst []byte, room string, m *message) []byte {
	dst = fmt.Appendf(append(dst, engineMessage, socketEvent), `["publish",%q,`, room)
	return append(append(dst, m.text...), ']')
}

func (socketIO) answer(heard []byte) []byte {
	if len(heard) == 1 && heard[0] == enginePing {
		return []byte{enginePong}
	}
	return nil
}
