package auth

import (
	"fmt"
	"time"
)

// Refusal is the reason why a token was not taken. Clients match on these texts.
type Refusal struct {
	code      string
	text      string // at join and refresh
	atConnect string // at connect, where it differs from text
}

// The texts of the protocol.
const (
	textMalformed = "The token provided is not a valid JWT"
	textSignature = "Failed to validate JWT signature"
	textNoKey     = "Failed to generate JWT signer, check your JWT secret or JWKS configuration"
	textFields    = "Fields `role` and `exp` are required in JWT"
	textExpiry    = "Token expiration time is invalid"
	textExpired   = "Token has expired"
)

func expired(ago time.Duration) *Refusal {
	text := fmt.Sprintf("%s %d seconds ago", textExpired, max(0, int64(ago/time.Second)))
	return &Refusal{code: "InvalidJWTToken", atConnect: textExpired, text: text}
}

// Error is the text as a channel says it after a refresh or an expiry.
func (r *Refusal) Error() string { return r.text }

// AtConnect is the text that a refused handshake carries.
func (r *Refusal) AtConnect() string {
	if r.atConnect != "" {
		return r.atConnect
	}
	return r.text
}

// AtJoin is the reason that a refused join carries: the code, then the text.
func (r *Refusal) AtJoin() string { return r.code + ": " + r.text }
