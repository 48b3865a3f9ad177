package changes

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes/source"
)

// messages is the table whose rows are broadcasts (see Install).
var messages = key{"realtime", "messages"}

// maxTopic is what a binary frame has room for, with the prefix of the wire. A message that could never be sent
// must not stand in the way of all that come after it.
const maxTopic = 255 - len("realtime:")

// Message is a broadcast that was made in the database.
type Message struct {
	ID      string // of the row: publishing it again does not deliver it again
	Topic   string // without the wire's prefix
	Event   string
	Private bool
	Form    backbone.Form // JSON or Binary
	Payload []byte
}

// newMessage reads an inserted row; nil: it is not a broadcast.
func newMessage(c *source.Change) (*Message, error) {
	texts := map[string]string{}
	for i, column := range c.Columns {
		if v := c.New[i]; v.Kind == source.Text {
			texts[column.Name] = string(v.Text)
		}
	}
	if texts["extension"] != "broadcast" {
		return nil, nil
	}
	m := &Message{ID: texts["id"], Topic: texts["topic"], Event: texts["event"], Private: texts["private"] == "t",
		Form: backbone.JSON, Payload: []byte(texts["payload"])}
	if binary, ok := texts["binary_payload"]; ok {
		digits, isHex := strings.CutPrefix(binary, `\x`)
		payload, err := hex.DecodeString(digits)
		if !isHex || err != nil {
			return nil, fmt.Errorf("binary_payload of message %s is not in hex: set bytea_output of the database to hex", m.ID)
		}
		m.Form, m.Payload = backbone.Binary, payload
	} else if _, ok := texts["payload"]; !ok {
		m.Payload = []byte("null")
	}
	switch {
	case m.Topic == "" || len(m.Topic) > maxTopic:
		return nil, fmt.Errorf("the topic of message %s has %d bytes: use 1 to %d", m.ID, len(m.Topic), maxTopic)
	case len(m.Event) > backbone.MaxName:
		return nil, fmt.Errorf("the event of message %s has %d bytes: at most %d are allowed", m.ID, len(m.Event), backbone.MaxName)
	case len(m.Payload) > backbone.MaxPayload:
		return nil, fmt.Errorf("the payload of message %s has %d bytes: at most %d are allowed", m.ID, len(m.Payload), backbone.MaxPayload)
	}
	return m, nil
}

// publish takes a change from the reader: into the log, or as the broadcast that it is.
func (f *Feed) publish(ctx context.Context, c *source.Change) (wait func(context.Context) error, err error) {
	if (key{c.Schema, c.Table}) == messages {
		if c.Type != source.Insert || f.cfg.Broadcast == nil {
			return held, nil
		}
		m, err := newMessage(c)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", source.ErrUnpublishable, err)
		}
		if m == nil {
			return held, nil
		}
		return f.cfg.Broadcast(ctx, *m)
	}
	ev, err := newEvent(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", source.ErrUnpublishable, err)
	}
	return f.cfg.Publish(ctx, ev)
}

// held is for what needs no log.
func held(context.Context) error { return nil }
