package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/receipt"
	"github.com/wedsync/wedsync/server/socket"
)

// bodyLimit is the most that a request may carry, all messages of a batch together.
const bodyLimit = 8 << 20

// The texts of the protocol.
const (
	textUnauthorized = "Unauthorized"
	textTooLarge     = "Payload size exceeds tenant limit"
	textMediaType    = "Unsupported Media Type. Use application/json or application/octet-stream"
	textBulkTooLarge = "is too large for the lane bulk: put the data into object storage and broadcast its URL"
	textTooMuchBulk  = "Too much bulk, please send less of it"
	textBlank        = "can't be blank"
	textInvalid      = "is invalid"
)

// message is one entry of a batch.
type message struct {
	Topic   string          `json:"topic"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
	Private bool            `json:"private"`
	ID      string          `json:"id"`
	Meta    json.RawMessage `json:"meta"` // as in a socket's broadcast; of it only id and lane count

	meta protocol.Meta
}

func (m *message) lane() protocol.Lane { return protocol.LaneOf(m.Event, m.meta) }

// problems is what is wrong with a message, by field.
type problems map[string][]string

// batch is POST /api/broadcast: several messages, each to everybody in its room.
func (a *api) batch(w http.ResponseWriter, r *http.Request) {
	claims, err := a.bearer(r)
	if err != nil {
		writeMessage(w, http.StatusUnauthorized, textUnauthorized)
		return
	}
	var body struct {
		Messages []json.RawMessage `json:"messages"`
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		writeProblems(w, problems{"messages": {textTooLarge}})
		return
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		writeProblems(w, problems{"messages": {textInvalid}})
		return
	}
	if len(body.Messages) == 0 {
		writeProblems(w, problems{"messages": {textBlank}})
		return
	}
	messages := make([]message, len(body.Messages))
	wrong := make([]problems, len(body.Messages))
	bad := false
	for i, m := range body.Messages {
		messages[i], wrong[i] = a.read(m)
		bad = bad || len(wrong[i]) > 0
	}
	if bad {
		writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"errors": map[string]any{"messages": wrong}})
		return
	}
	a.publish(w, r, a.events(claims, messages)...)
}

// read parses and checks one entry of a batch.
func (a *api) read(raw json.RawMessage) (message, problems) {
	var m message
	wrong := problems{}
	if err := json.Unmarshal(raw, &m); err != nil {
		var field *json.UnmarshalTypeError
		name := "message"
		if errors.As(err, &field) && field.Field != "" {
			name = field.Field
		}
		wrong[name] = []string{textInvalid}
		return m, wrong
	}
	if m.Topic == "" {
		wrong["topic"] = []string{textBlank}
	}
	if m.Event == "" {
		wrong["event"] = []string{textBlank}
	}
	switch m.Payload = bytes.TrimSpace(m.Payload); {
	case len(m.Payload) == 0, string(m.Payload) == "null":
		wrong["payload"] = []string{textBlank}
	case m.Payload[0] != '{':
		wrong["payload"] = []string{textInvalid}
	case a.tooLarge(len(m.Payload)):
		wrong["payload"] = []string{textTooLarge}
	}
	if m.ID != "" && !protocol.ValidID(m.ID) {
		wrong["id"] = []string{textInvalid}
	}
	if string(m.Meta) != "null" {
		var err error
		if m.meta, err = protocol.ParseMeta(m.Meta); err != nil {
			wrong["meta"] = []string{textInvalid}
		}
	}
	if m.ID != "" {
		m.meta.ID = m.ID
	}
	if err := receipt.Reserved(m.Event, m.meta.ID); err != nil {
		wrong["message"] = []string{err.Error()}
	}
	if m.lane() == protocol.Bulk && len(m.Payload) > socket.MaxBulk {
		a.Limits.Reached(limit.Payload)
		wrong["payload"] = []string{textBulkTooLarge}
	}
	return m, wrong
}

// events are the messages that the bearer may send; the others are skipped, as the original does.
func (a *api) events(claims *auth.Claims, messages []message) []*backbone.Event {
	var events []*backbone.Event
	for _, m := range messages {
		if m.Private && !a.Policy(claims, m.Topic, auth.Broadcast, auth.Write) {
			a.Metrics.MessagesDropped.WithLabelValues("denied").Inc()
			continue
		}
		name, path := a.Place(m.Private, m.Topic)
		events = append(events, &backbone.Event{
			ID: m.meta.ID, Room: name, Path: path, Name: m.Event, Lane: m.lane(), Form: backbone.Text,
			Payload: protocol.AppendUserBroadcast(nil, &protocol.UserBroadcast{Event: m.Event, Payload: m.Payload}),
		})
	}
	return events
}

// single is POST /api/broadcast/{topic}/events/{event}: the body is the payload.
func (a *api) single(w http.ResponseWriter, r *http.Request) {
	claims, err := a.bearer(r)
	if err != nil {
		writeMessage(w, http.StatusUnauthorized, textUnauthorized)
		return
	}
	form, err := formOf(r.Header.Get("Content-Type"))
	if err != nil {
		writeJSON(w, http.StatusUnsupportedMediaType, map[string]string{"error": err.Error()})
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	switch {
	case err != nil || a.tooLarge(len(payload)):
		writeProblems(w, problems{"payload": {textTooLarge}})
		return
	case form == backbone.JSON && len(payload) == 0:
		writeProblems(w, problems{"payload": {textBlank}})
		return
	case form == backbone.JSON && !json.Valid(payload):
		writeProblems(w, problems{"payload": {textInvalid}})
		return
	}
	topic, event, private := r.PathValue("topic"), r.PathValue("event"), r.URL.Query().Get("private") == "true"
	if err := receipt.Reserved(event, ""); err != nil {
		writeProblems(w, problems{"event": {err.Error()}})
		return
	}
	if private && !a.Policy(claims, topic, auth.Broadcast, auth.Write) {
		a.Metrics.MessagesDropped.WithLabelValues("denied").Inc()
		writeMessage(w, http.StatusForbidden, textUnauthorized)
		return
	}
	name, path := a.Place(private, topic)
	a.publish(w, r, &backbone.Event{
		Room: name, Path: path, Name: event, Lane: protocol.LaneOf(event, protocol.Meta{}),
		Form: form, Payload: payload,
	})
}

// formOf reads the content type of a single broadcast; none is JSON.
func formOf(contentType string) (backbone.Form, error) {
	if contentType == "" {
		return backbone.JSON, nil
	}
	switch media, _, _ := mime.ParseMediaType(contentType); media { // a bad one is none of these
	case "application/json":
		return backbone.JSON, nil
	case "application/octet-stream":
		return backbone.Binary, nil
	}
	return 0, errors.New(textMediaType)
}

// publish sends events in their order, unless they are too many, and answers 202: for urgent ones, once two regions hold them.
func (a *api) publish(w http.ResponseWriter, r *http.Request, events ...*backbone.Event) {
	// What has been fanned out is to be held, also if the caller hangs up.
	ctx := context.WithoutCancel(r.Context())
	asked := len(events)
	events = a.shedBulk(events)
	if a.overRate(w, events) {
		return
	}
	if len(events) == 0 && asked > 0 {
		writeMessage(w, http.StatusTooManyRequests, textTooMuchBulk)
		return
	}
	for _, ev := range events {
		a.Limits.EventsOf(ev.Lane).Add(1)
	}
	var holds errgroup.Group
	for _, ev := range events {
		if ev.Lane == protocol.Urgent {
			// Owner: this request, which waits for all; bounded by the messages of a batch and, in
			// time, by the lane's deadline.
			holds.Go(func() error { return a.hold(ctx, ev) })
			continue
		}
		if ev.Lane == protocol.Bulk && ev.ID == "" { // recipients with two homes know it again by this
			ev.ID = uuid.NewString()
		}
		if err := a.Publisher.Cast(ctx, ev); err != nil {
			a.Logger.Warn("a REST broadcast could not be sent", "room", ev.Room, "err", err)
			writeMessage(w, http.StatusServiceUnavailable, "The broadcast could not be sent, please try again")
			return
		}
		a.Metrics.MessagesPublished.WithLabelValues(ev.Lane.String(), "ok").Inc()
	}
	if err := holds.Wait(); err != nil {
		a.Logger.Warn("an urgent REST broadcast is not held by two regions", "err", err)
		writeMessage(w, http.StatusServiceUnavailable,
			"Not held by two regions in time: it may or may not arrive, please send it again with the same id")
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// shedBulk leaves the bulk out of a request if not all of it is within the limit on events, so that it does not
// keep out what is more important; it is counted, as every message that is skipped.
func (a *api) shedBulk(events []*backbone.Event) []*backbone.Event {
	isBulk := func(ev *backbone.Event) bool { return ev.Lane == protocol.Bulk }
	if a.Limits.RoomForBulk(len(events)) || !slices.ContainsFunc(events, isBulk) {
		return events
	}
	before := len(events)
	events = slices.DeleteFunc(events, isBulk)
	a.Limits.Reached(limit.Events)
	a.Metrics.MessagesDropped.WithLabelValues("rate").Add(float64(before - len(events)))
	return events
}

func (a *api) hold(ctx context.Context, ev *backbone.Event) error {
	outcome := "ok"
	_, err := a.Publisher.Publish(ctx, ev)
	if err != nil {
		outcome = "unknown"
		err = fmt.Errorf("publishing %s to %s: %w", ev.ID, ev.Room, err)
	}
	a.Metrics.MessagesPublished.WithLabelValues(ev.Lane.String(), outcome).Inc()
	return err
}

func writeProblems(w http.ResponseWriter, p problems) {
	writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"errors": p})
}
