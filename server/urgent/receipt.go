package urgent

import (
	"context"
	"encoding/json"
)

// Receipt says that a recipient has an event.
type Receipt struct {
	ID     string `json:"id"`
	Room   string `json:"room"`
	By     string `json:"by"`
	Region string `json:"region"` // where the recipient was connected
}

// Confirm tells every node, this one first, that a recipient of this node has the event. It does
// not wait; a node that cannot be reached now does not learn of it.
func (l *Lane) Confirm(_ context.Context, r Receipt) {
	if r.Region == "" {
		r.Region = l.b.Region()
	}
	l.m.receipts.WithLabelValues("sent").Inc()
	l.cfg.OnReceipt(r)
	data, err := json.Marshal(r)
	if err != nil {
		l.b.Logger().Error("receipt cannot be written", "id", r.ID, "err", err)
		return
	}
	l.b.Announce(data)
}

// announced takes a receipt of another node.
func (l *Lane) announced(data []byte) {
	var r Receipt
	if err := json.Unmarshal(data, &r); err != nil {
		l.b.Logger().Warn("receipt of another node not understood", "err", err)
		return
	}
	l.m.receipts.WithLabelValues("received").Inc()
	l.cfg.OnReceipt(r)
}
