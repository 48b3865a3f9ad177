package auth

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Refusal is the reason why a token was not taken. Clients match on these texts.
type Refusal struct {
	code       string
	text       string // at refresh, and behind the code at join
	atConnect  string // at connect, where it differs from text
	atJoin     string // at join, where it is not code and text
	status     int    // at connect; 0: 401
	unknownKey bool   // the JWKS may have the key by now
}

// The texts of the protocol.
const (
	textMalformed = "The token provided is not a valid JWT"
	textSignature = "Failed to validate JWT signature"
	textNoKey     = "Failed to generate JWT signer, check your JWT secret or JWKS configuration"
	textNoKeyID   = "Failed to generate JWT signer for key ID (kid) %s, check your JWT secret or JWKS configuration"
	textFields    = "Fields `role` and `exp` are required in JWT"
	textExpiry    = "Token expiration time is invalid"
	textExpired   = "Token has expired"
	textConnect   = "Error connecting to Realtime"
	textJoin      = "Unknown Error on Channel"
)

// maxKid is how much of a stranger's kid is said back, in bytes.
const maxKid = 128

func expired(ago time.Duration) *Refusal {
	text := fmt.Sprintf("%s %d seconds ago", textExpired, max(0, int64(ago/time.Second)))
	return &Refusal{code: "InvalidJWTToken", atConnect: textExpired, text: text}
}

// noSigner is the refusal of a token that no key can verify; with the kid that it named, or "".
func noSigner(kid string) *Refusal {
	if kid == "" {
		return &Refusal{code: "JwtSignerError", text: textNoKey}
	}
	if len(kid) > maxKid {
		kid = kid[:maxKid] + "…"
	}
	return &Refusal{code: "JwtSignerError", text: fmt.Sprintf(textNoKeyID, strconv.Quote(kid))}
}

// unfit is the refusal of a token whose claims break a rule that the protocol has no text for. On the
// wire it is any other error; the log and a refreshed channel are told why.
func unfit(why string) *Refusal {
	return &Refusal{code: "UnknownErrorOnChannel", text: "Invalid token: " + why,
		atConnect: textConnect, atJoin: textJoin, status: http.StatusInternalServerError}
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

// Status is the HTTP status of a refused handshake.
func (r *Refusal) Status() int {
	if r.status != 0 {
		return r.status
	}
	return http.StatusUnauthorized
}

// AtJoin is the reason that a refused join carries: the code, then the text.
func (r *Refusal) AtJoin() string {
	if r.atJoin != "" {
		return r.atJoin
	}
	return r.code + ": " + r.text
}
