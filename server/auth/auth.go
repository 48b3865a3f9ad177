// Package auth decides who may speak: it verifies the JSON Web Tokens that clients bring when they
// connect, join a channel or refresh their token, and holds the policy that says what a verified
// token may do on a topic.
//
// A token is signed with the node's shared secret (HS256, HS384 or HS512) and must carry role and
// exp. The same refusal is worded differently in different places of the protocol, so a refusal is
// a value (Refusal) with one method per place, and the exact texts stand next to each other here.
package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims is what a verified token says about its bearer.
type Claims struct {
	Role    string
	Subject string
	Expiry  time.Time       // zero: never (only in an open Verifier)
	Raw     json.RawMessage // the whole claims object, for policies that look deeper
}

// RoleService is the role of trusted back ends: it may read and write everything.
const RoleService = "service_role"

// RoleAnonymous is the role of a visitor without an account: public rooms only.
const RoleAnonymous = "anon"

// MinSecret is the shortest secret that New takes, in bytes. Anyone who holds one token can try
// secrets offline, so a guessable one is no secret; RFC 7518 asks for 32 with HS256.
const MinSecret = 16

// Config of a Verifier.
type Config struct {
	Secret string           // shared HMAC secret, at least MinSecret bytes
	Open   bool             // development only: take any token, or none, as RoleService
	Now    func() time.Time // nil: time.Now
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	secret []byte
	open   bool
	now    func() time.Time
	parser *jwt.Parser
}

// New returns a Verifier, or says what is wrong with the configuration.
func New(cfg Config) (*Verifier, error) {
	switch {
	case cfg.Open && cfg.Secret != "":
		return nil, errors.New("an open verifier takes any token: leave the secret out, or verify")
	case !cfg.Open && len(cfg.Secret) < MinSecret:
		return nil, fmt.Errorf("the JWT secret has %d bytes: use at least %d random ones", len(cfg.Secret), MinSecret)
	}
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	return &Verifier{
		secret: []byte(cfg.Secret), open: cfg.Open, now: now,
		// Claims are judged below, because the texts and their order are part of the protocol.
		parser: jwt.NewParser(jwt.WithoutClaimsValidation()),
	}, nil
}

// Clean undoes what clients do to a token on its way: percent-encoding and white space.
func Clean(token string) string {
	if decoded, err := url.PathUnescape(token); err == nil {
		token = decoded
	}
	return strings.Join(strings.Fields(token), "")
}

// IsAPIKey says whether a token is one of the newer opaque API keys, which stand for the socket's
// own token wherever a token is expected.
func IsAPIKey(token string) bool { return strings.HasPrefix(token, "sb_") }

// Verify returns the claims of a token, or a *Refusal.
func (v *Verifier) Verify(token string) (*Claims, error) {
	if v.open {
		return v.believe(token), nil
	}
	if token == "" {
		return nil, &Refusal{code: "MalformedJWT", atConnect: "API key is missing", text: textMalformed}
	}
	claims := jwt.MapClaims{}
	parsed, err := v.parser.ParseWithClaims(token, claims, v.key)
	switch {
	case errors.Is(err, errNoKey):
		return nil, &Refusal{code: "JwtSignerError", text: textNoKey}
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, &Refusal{code: "MalformedJWT", text: textMalformed}
	case err != nil || !parsed.Valid:
		return nil, &Refusal{code: "JwtSignatureError", text: textSignature}
	}
	return v.judge(token, claims)
}

// judge applies the rules for the claims of a token whose signature is right.
func (v *Verifier) judge(token string, claims jwt.MapClaims) (*Claims, error) {
	role, hasRole := claims["role"].(string)
	rawExp, hasExp := claims["exp"]
	if !hasRole || role == "" || !hasExp {
		return nil, &Refusal{code: "InvalidJWTToken", text: textFields}
	}
	seconds, ok := rawExp.(float64)
	if !ok || math.Abs(seconds) > 1e12 { // beyond the year 33,000 it is not a time in seconds
		return nil, &Refusal{code: "InvalidJWTToken", text: textExpiry}
	}
	expiry := time.Unix(int64(math.Round(seconds)), 0)
	if now := v.now(); !now.Before(expiry) {
		return nil, expired(now.Sub(expiry))
	}
	subject, _ := claims["sub"].(string) // optional
	return &Claims{Role: role, Subject: subject, Expiry: expiry, Raw: rawClaims(token)}, nil
}

// Expired is the refusal for a token that was good and ran out while it was in use.
func (v *Verifier) Expired(c *Claims) *Refusal { return expired(v.now().Sub(c.Expiry)) }

// believe takes an unverified token at its word; without one, the bearer is trusted.
func (v *Verifier) believe(token string) *Claims {
	claims := jwt.MapClaims{}
	trusted := &Claims{Role: RoleService, Raw: json.RawMessage(`{"role":"service_role"}`)}
	if _, _, err := v.parser.ParseUnverified(token, claims); err != nil {
		return trusted
	}
	role, _ := claims["role"].(string)
	if role == "" {
		return trusted
	}
	subject, _ := claims["sub"].(string) // optional
	return &Claims{Role: role, Subject: subject, Raw: rawClaims(token)}
}

var errNoKey = errors.New("no key for this algorithm")

func (v *Verifier) key(t *jwt.Token) (any, error) {
	if _, ok := t.Method.(*jwt.SigningMethodHMAC); !ok {
		return nil, errNoKey
	}
	return v.secret, nil
}

// rawClaims is the middle part of a token that has already been parsed.
func rawClaims(token string) json.RawMessage {
	parts := strings.Split(token, ".")
	raw, err := jwt.NewParser().DecodeSegment(parts[1])
	if err != nil { // cannot happen: the parser has decoded the same segment
		return nil
	}
	return raw
}
