package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/protocol"
)

// Floor serves the floor on a listener until ctx ends. It knows joins, heartbeats and text broadcasts of protocol
// version 2, and has no limits, no lanes, no metrics, no log and no manners: what it costs, every server on gorilla pays.
func Floor(ctx context.Context, l net.Listener) error {
	f := &floor{rooms: map[string]*floorRoom{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /socket/websocket", f.serve)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // sockets end with the process
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the floor: %w", err)
	}
	return nil
}

type floor struct {
	mu    sync.Mutex // guards the following
	rooms map[string]*floorRoom
}

type floorRoom struct {
	mu      sync.RWMutex // guards the following
	members map[*floorSocket]struct{}
}

type floorSocket struct {
	mu sync.Mutex // held while writing
	ws *websocket.Conn
}

// It keeps no more memory for an idle socket than gorilla must have.
var floorUpgrader = websocket.Upgrader{ReadBufferSize: 512, WriteBufferPool: &sync.Pool{}}

// serve reads a socket on the goroutine of its request.
func (f *floor) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := floorUpgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	s := &floorSocket{ws: ws}
	joined := map[string]*floorRoom{}
	defer func() {
		for _, room := range joined {
			room.leave(s)
		}
		_ = ws.Close()
	}()
	for {
		_, message, err := ws.ReadMessage()
		if err != nil {
			return
		}
		frame, err := protocol.DecodeText(protocol.V2, message)
		if err != nil {
			continue
		}
		switch frame.Event {
		case protocol.EventJoin:
			room := f.room(frame.Topic)
			joined[frame.Topic] = room
			room.join(s)
			s.reply(&frame, protocol.ReplyPayload(protocol.StatusOK, protocol.JoinResponse(nil)))
		case protocol.EventHeartbeat:
			s.reply(&frame, protocol.ReplyPayload(protocol.StatusOK, nil))
		case protocol.EventBroadcast:
			if room := joined[frame.Topic]; room != nil {
				room.broadcast(s, &frame)
			}
		}
	}
}

func (f *floor) room(topic string) *floorRoom {
	f.mu.Lock()
	defer f.mu.Unlock()
	room := f.rooms[topic]
	if room == nil {
		room = &floorRoom{members: map[*floorSocket]struct{}{}}
		f.rooms[topic] = room
	}
	return room
}

func (r *floorRoom) join(s *floorSocket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[s] = struct{}{}
}

func (r *floorRoom) leave(s *floorSocket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, s)
}

// broadcast encodes once and writes to all but the sender, one after the other.
func (r *floorRoom) broadcast(from *floorSocket, f *protocol.Frame) {
	text := protocol.AppendText(nil, protocol.V2, &protocol.Frame{Topic: f.Topic, Event: f.Event, Payload: f.Payload})
	prepared, err := websocket.NewPreparedMessage(websocket.TextMessage, text)
	if err != nil {
		return
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for s := range r.members {
		if s != from {
			s.mu.Lock()
			_ = s.ws.WritePreparedMessage(prepared) // whose socket is gone is found out by its reader
			s.mu.Unlock()
		}
	}
}

func (s *floorSocket) reply(to *protocol.Frame, payload []byte) {
	text := protocol.AppendText(nil, protocol.V2, &protocol.Frame{
		JoinRef: to.JoinRef, Ref: to.Ref, Topic: to.Topic, Event: protocol.EventReply, Payload: payload})
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.ws.WriteMessage(websocket.TextMessage, text) // as above
}
