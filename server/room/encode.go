package room

import (
	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/socket"
)

// Live returns the frame in which a member of a wire version receives an event, or false if that
// version has no form for it:
//
//	published as            version 2               version 1
//	text                    text, verbatim          text, verbatim
//	binary frame, JSON      kind 4                  text {"event","payload","type"}
//	binary frame, bytes     kind 4                  nothing
//
// Our metadata rides along in all of them if the event has an id, or was published on another channel
// than the member's, which is at path.
func Live(topic, path string, v protocol.Version, ev *backbone.Event) (socket.Frame, bool) {
	if v == protocol.V2 && ev.Form != backbone.Text {
		if f, ok := binary(topic, path, ev); ok {
			return f, true
		}
	}
	return text(topic, path, "", v, ev)
}

// Replayed returns the frame in which one member receives a stored event after its join. Stored
// JSON goes as text with the join ref, as the original server does it.
func Replayed(topic, path string, joinRef protocol.Ref, v protocol.Version, ev *backbone.Event) (socket.Frame, bool) {
	if ev.Form == backbone.Binary {
		if v == protocol.V1 {
			return socket.Frame{}, false
		}
		return binary(topic, path, ev)
	}
	return text(topic, path, joinRef, v, ev)
}

// binary makes a kind 4 frame; a topic or event of more than 255 bytes has none.
func binary(topic, path string, ev *backbone.Event) (socket.Frame, bool) {
	b := protocol.Broadcast{Event: ev.Name, Encoding: protocol.JSON, Payload: ev.Payload}
	if ev.Form == backbone.Binary {
		b.Encoding = protocol.Binary
	}
	if m := meta(path, ev); m != (protocol.Meta{}) {
		b.Meta = m.Append(nil)
	}
	buf, err := protocol.AppendBroadcast(socket.Begin(5+len(topic)+len(b.Event)+len(b.Meta)+len(b.Payload)), topic, &b)
	if err != nil {
		return socket.Frame{}, false
	}
	return socket.Binary(buf), true
}

// text makes a text frame; raw bytes have none.
func text(topic, path string, joinRef protocol.Ref, v protocol.Version, ev *backbone.Event) (socket.Frame, bool) {
	f := protocol.Frame{JoinRef: joinRef, Topic: topic, Event: protocol.EventBroadcast}
	m := meta(path, ev)
	has := m != protocol.Meta{}
	switch {
	case ev.Form == backbone.Binary:
		return socket.Frame{}, false
	case ev.Form == backbone.JSON:
		f.Payload = protocol.AppendUserBroadcast(nil, &protocol.UserBroadcast{
			Event: ev.Name, Payload: ev.Payload, Meta: m, HasMeta: has,
		})
	case has:
		f.Payload = protocol.AppendWithMeta(nil, ev.Payload, m)
	default:
		f.Payload = ev.Payload
	}
	return socket.Text(protocol.AppendText(socket.Begin(len(f.Payload)+len(topic)+64), v, &f)), true
}

// meta is what a member at a path is told about an event, which is nothing if there is no id to know it
// by and no other channel to name.
func meta(path string, ev *backbone.Event) protocol.Meta {
	var m protocol.Meta
	if ev.ID != "" {
		m = protocol.Meta{ID: ev.ID, Lane: ev.Lane, HLC: uint64(ev.HLC), From: ev.From, Replayed: ev.Replayed}
	}
	if ev.Path != path {
		m.Channel = SubTopic(ev.Room, ev.Path)
	}
	return m
}
