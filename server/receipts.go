package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/receipt"
)

// topicReceipts is where the nodes tell each other who is expected to confirm urgent messages.
const topicReceipts = "escalation"

// newReceipts makes the ledger of who has been told; the backbone is there, the lane need not be.
func (s *Server) newReceipts() (err error) {
	s.receipts, err = receipt.New(receipt.Config{
		Node: s.cfg.Node, Clock: s.backbone.Clock().Now, EscalateAfter: s.cfg.EscalateAfter, Escalate: s.escalate,
		Gossip: func(node string, data []byte) { s.backbone.Gossip(topicReceipts, node, data) },
		Logger: s.log, Registerer: s.registry,
	})
	if err != nil {
		return fmt.Errorf("starting receipts: %w", err)
	}
	s.backbone.OnGossip(topicReceipts, s.receipts.Receive)
	return nil
}

// runReceipts keeps the ledger going; the lane is there.
func (s *Server) runReceipts() {
	// Owner: the server; ends with s.ctx.
	s.keepers.Go(func() {
		if err := s.receipts.Run(s.ctx); err != nil {
			s.log.Error("receipts have stopped: nothing is escalated", "err", err)
		}
	})
}

// escalate publishes that somebody has not been told, where the message was.
func (s *Server) escalate(ctx context.Context, e receipt.Escalation) error {
	payload, err := json.Marshal(e.Escalation)
	if err != nil {
		return fmt.Errorf("writing an escalation: %w", err)
	}
	ev := &backbone.Event{
		ID: e.ID, Room: e.Room, Path: e.Path, Lane: protocol.Urgent, Name: protocol.EscalationEvent, Form: backbone.Text,
		Payload: protocol.AppendUserBroadcast(nil, &protocol.UserBroadcast{Event: protocol.EscalationEvent, Payload: payload}),
	}
	if _, err := s.lane.Publish(ctx, ev); err != nil {
		return fmt.Errorf("publishing %s: %w", e.ID, err)
	}
	return nil
}

// record notes an event for which receipts are to come, and sees escalations. It is called for every event
// that reaches this node, and only what is urgent costs anything.
func (s *Server) record(ev *backbone.Event) {
	switch {
	case ev.Lane != protocol.Urgent:
	case ev.Name != protocol.EscalationEvent:
		s.receipts.Published(ev)
	default:
		u, err := protocol.ParseUserBroadcast(ev.Payload)
		if err == nil {
			var e protocol.Escalation
			if e, err = protocol.ParseEscalation(u.Payload); err == nil {
				s.receipts.Escalated(ev.Room, e.ID)
				return
			}
		}
		s.log.Warn("an escalation of another node is not understood", "id", ev.ID, "origin", ev.Origin, "err", err)
	}
}

// confirming says whether a member can be counted on to confirm: it has said so, may have broadcasts, and has
// chosen the key under which it will be missed.
func confirming(config *protocol.JoinConfig, rights rights) bool {
	return config.Wedsync.Confirms && rights.readBroadcast && config.Presence.Key != ""
}

// expect begins to expect receipts of a channel's member, if it confirms. Its session's mu is held.
func (s *Server) expect(ch *channel) {
	ch.confirms = ch.confirms && s.receipts.Join(ch.room, ch.Key)
}

// unexpect notes that the channel has ended. The member is expected further, on whatever node it comes back,
// unless it has left because it wanted to. Only the first call counts. Its session's mu is held.
func (s *Server) unexpect(ch *channel, left bool) {
	if ch.confirms {
		ch.confirms = false
		s.receipts.End(ch.room, ch.Key, left)
	}
}

// adminReceipts is GET /admin/receipts?id=…: who has been told of an urgent message of the last minutes, for
// bearers of a service_role token.
func (s *Server) adminReceipts(w http.ResponseWriter, r *http.Request) {
	status, body := s.receiptsOf(r)
	s.metrics.RESTRequests.WithLabelValues("admin_receipts", strconv.Itoa(status)).Inc()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the asker has gone if this fails
}

func (s *Server) receiptsOf(r *http.Request) (status int, body any) {
	message := func(text string) any { return map[string]string{"message": text} }
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		token = r.Header.Get("apikey")
	}
	claims, err := s.verifier.Verify(auth.Clean(token))
	if err != nil {
		return http.StatusUnauthorized, message("Unauthorized")
	}
	if claims.Role != auth.RoleService {
		return http.StatusForbidden, message("Receipts need a token with role " + auth.RoleService)
	}
	id := r.URL.Query().Get("id")
	if !protocol.ValidID(id) {
		return http.StatusBadRequest, message("Say which message: ?id=… with the id of an urgent message")
	}
	tally, ok := s.receipts.Status(id)
	if !ok {
		return http.StatusNotFound, message("There was no urgent message with this id in the last minutes")
	}
	return http.StatusOK, tally
}
