package protocol

import (
	"encoding/json"
	"fmt"
)

// Receipt is the payload of the event "receipt" from server to client: one recipient has one
// message. It goes to the joins that asked for receipts.
type Receipt struct {
	ID     string `json:"id"`
	By     string `json:"by"`
	Region string `json:"region"`
}

// ReceiptPayload is the name of Receipt where it stands beside other payloads.
type ReceiptPayload = Receipt

// MaxConfirm is the most ids that one confirmation may carry.
const MaxConfirm = 1000

// AppendReceipt appends r as a payload.
func AppendReceipt(dst []byte, r *Receipt) []byte {
	dst = appendString(append(dst, `{"id":`...), r.ID)
	dst = appendString(append(dst, `,"by":`...), r.By)
	dst = appendString(append(dst, `,"region":`...), r.Region)
	return append(dst, '}')
}

// ParseReceipt reads the payload of "receipt" from the server.
func ParseReceipt(payload []byte) (Receipt, error) {
	var r Receipt
	if err := json.Unmarshal(payload, &r); err != nil {
		return Receipt{}, fmt.Errorf("reading a receipt: %w", err)
	}
	if !ValidID(r.ID) {
		return Receipt{}, fmt.Errorf("reading a receipt: %.80q is not an id", r.ID)
	}
	return r, nil
}

// AppendConfirm appends the payload of the event "receipt" from client to server: {"ids":[…]}, the
// messages that the client has. There is no reply to it.
func AppendConfirm(dst []byte, ids ...string) []byte {
	dst = append(dst, `{"ids":[`...)
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, id)
	}
	return append(dst, "]}"...)
}

// ParseConfirm reads the payload of "receipt" from a client.
func ParseConfirm(payload []byte) ([]string, error) {
	var c struct{ IDs []string }
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, fmt.Errorf("reading a confirmation: %w", err)
	}
	if len(c.IDs) > MaxConfirm {
		return nil, fmt.Errorf("reading a confirmation: %d ids, the most is %d", len(c.IDs), MaxConfirm)
	}
	for _, id := range c.IDs {
		if !ValidID(id) {
			return nil, fmt.Errorf("reading a confirmation: %.80q is not an id", id)
		}
	}
	return c.IDs, nil
}
