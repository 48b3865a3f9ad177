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
// Our metadata rides along in all of them if the event has an id.
func Live(topic string, v protocol.Version, ev *backbone.Event) (socket.Frame, bool) {
	if v == protocol.V2 && ev.Form != backbone.Text {
		if f, ok := binary(topic, ev); ok {
			return f, true
		}
	}
	return text(topic, "", v, ev)
}

// Replayed returns the frame in which one member receives a stored event after its join. Stored
// JSON goes as text with the join ref, as the original server does it.
func Replayed(topic string, joinRef protocol.Ref, v protocol.Version, ev *backbone.Event) (socket.Frame, bool) {
	if ev.Form == backbone.Binary {
		if v == protocol.V1 {
			return socket.Frame{}, false
		}
		return binary(topic, ev)
	}
	return text(topic, joinRef, v, ev)
}

// binary makes a kind 4 frame; a topic or event of more than 255 bytes has none.
func binary(topic string, ev *backbone.Event) (socket.Frame, bool) {
	b := protocol.Broadcast{Event: ev.Name, Encoding: protocol.JSON, Payload: ev.Payload}
	if ev.Form == backbone.Binary {
		b.Encoding = protocol.Binary
	}
	if ev.ID != "" {
		b.Meta = meta(ev).Append(nil)
	}
	buf, err := protocol.AppendBroadcast(socket.Begin(5+len(topic)+len(b.Event)+len(b.Meta)+len(b.Payload)), topic, &b)
	if err != nil {
		return socket.Frame{}, false
	}
	return socket.Binary(buf), true
}

// text makes a text frame; raw bytes have none.
func text(topic string, joinRef protocol.Ref, v protocol.Version, ev *backbone.Event) (socket.Frame, bool) {
	f := protocol.Frame{JoinRef: joinRef, Topic: topic, Event: protocol.EventBroadcast}
	switch {
	case ev.Form == backbone.Binary:
		return socket.Frame{}, false
	case ev.Form == backbone.JSON:
		f.Payload = protocol.AppendUserBroadcast(nil, &protocol.UserBroadcast{
			Event: ev.Name, Payload: ev.Payload, Meta: meta(ev), HasMeta: ev.ID != "",
		})
	case ev.ID != "":
		f.Payload = protocol.AppendWithMeta(nil, ev.Payload, meta(ev))
	default:
		f.Payload = ev.Payload
	}
	return socket.Text(protocol.AppendText(socket.Begin(len(f.Payload)+len(topic)+64), v, &f)), true
}

func meta(ev *backbone.Event) protocol.Meta {
	return protocol.Meta{ID: ev.ID, Lane: ev.Lane, HLC: uint64(ev.HLC), From: ev.From, Replayed: ev.Replayed}
}
