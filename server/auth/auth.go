// Package auth decides who may speak: it verifies the JSON Web Tokens that clients bring when they
// connect, join a channel or refresh their token (Verifier), and it answers what the bearer of a
// verified token may do on a topic (Policy, read from a policy file).
//
// A token is signed with the node's shared secret (HS256, HS384, HS512), or with a key of a JSON Web
// Key Set that its header names by `kid` (RS, PS, ES, EdDSA; HS too, with an `oct` key). The set is
// read from a file or a URL again and again, so that keys are rotated without a restart. A token must
// carry role and exp. The same refusal is worded differently in different places of the protocol, so
// a refusal is a value (Refusal) with one method per place, and the exact texts stand next to each
// other.
//
// The algorithm that a token names never decides what kind of key it is checked with: keys are found
// by kid and family together (keyName), so that a public key cannot be taken for a secret.
package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// RoleService is the role of trusted back ends: it may read and write everything.
const RoleService = "service_role"

// RoleAnonymous is the role of a visitor without an account: public rooms only.
const RoleAnonymous = "anon"

// MinSecret is the shortest secret that is taken, in bytes. Anyone who holds one token can try
// secrets offline, so a guessable one is no secret; RFC 7518 asks for 32 with HS256.
const MinSecret = 16

// DefaultRefresh is how often a JWKS is fetched if the configuration does not say.
const DefaultRefresh = 5 * time.Minute

// Config of a Verifier: a secret, a JWKS, or both.
type Config struct {
	Secret string // shared HMAC secret, at least MinSecret bytes
	JWKS   string // JSON Web Key Set: path of a file, or an http(s) URL

	// RefreshEvery is how often the URL is fetched; 0: DefaultRefresh. A file is looked at every second.
	RefreshEvery time.Duration
	// Validators are top-level claims that every token must carry with exactly this text, such as
	// {"iss": "https://id.example.com"}.
	Validators map[string]string

	Open       bool             // development only: take any token, or none, as RoleService
	Now        func() time.Time // nil: time.Now
	Logger     *slog.Logger     // nil: nothing is logged
	HTTPClient *http.Client     // fetches the JWKS; nil: one of its own
}

// Validate says everything that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Open && (c.Secret != "" || c.JWKS != "") {
		bad("an open verifier takes any token: leave the secret and the JWKS out, or verify")
	}
	if !c.Open && c.Secret == "" && c.JWKS == "" {
		bad("there is neither a JWT secret nor a JWKS, so no token could be verified: set one of them")
	}
	if c.Secret != "" && len(c.Secret) < MinSecret {
		bad("the JWT secret has %d bytes: use at least %d random ones", len(c.Secret), MinSecret)
	}
	if c.RefreshEvery < 0 {
		bad("RefreshEvery is %s: a duration cannot be negative", c.RefreshEvery)
	}
	for claim, want := range c.Validators {
		if claim == "" || want == "" {
			bad("the validator %q: %q is incomplete: name a claim and the text that it must have", claim, want)
		}
	}
	return errors.Join(errs...)
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	secret     []byte
	validators map[string]string
	open       bool
	now        func() time.Time
	keys       *keyring
}

// New returns a Verifier, or says what is wrong with the configuration. With a JWKS it goes on
// fetching until ctx ends. A JWKS that cannot be read at first is an error only if there is no secret
// to verify with meanwhile.
func New(ctx context.Context, cfg Config) (*Verifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	keys, err := newKeyring(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	return &Verifier{secret: []byte(cfg.Secret), validators: cfg.Validators, open: cfg.Open, now: cfg.Now, keys: keys}, nil
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

// Verify returns the claims of a token, or a *Refusal. It never waits: a token whose key is not known
// yet is refused, and the keys are fetched again in the background.
func (v *Verifier) Verify(token string) (*Claims, error) {
	if v.open {
		return v.believe(token), nil
	}
	claims, refusal := v.check(token)
	if refusal != nil {
		if refusal.unknownKey {
			v.keys.ask()
		}
		return nil, refusal
	}
	return claims, nil
}

// VerifyWait is Verify for a caller that holds no lock: for a token whose key is not known yet it
// waits a moment (see askPatience) for the keys to be fetched again, so that the first token after a
// rotation is not refused. When fetching again is not due, it does not wait either.
func (v *Verifier) VerifyWait(ctx context.Context, token string) (*Claims, error) {
	before := v.keys.current.Load()
	claims, err := v.Verify(token)
	var refusal *Refusal
	if !errors.As(err, &refusal) || !refusal.unknownKey {
		return claims, err
	}
	v.keys.wait(ctx)
	if v.keys.current.Load() == before {
		return nil, err
	}
	return v.Verify(token)
}

// check verifies a token with the keys of this moment.
func (v *Verifier) check(token string) (*Claims, *Refusal) {
	if token == "" {
		return nil, &Refusal{code: "MalformedJWT", atConnect: "API key is missing", text: textMalformed}
	}
	keys := v.keys.current.Load()
	digest := digestOf(token)
	if claims := keys.seen.get(digest); claims != nil {
		if now := v.now(); !now.Before(claims.Expiry) {
			return nil, expired(now.Sub(claims.Expiry))
		}
		return claims.copy(), nil
	}
	parsed, err := parseToken(token)
	if err != nil {
		return nil, &Refusal{code: "MalformedJWT", text: textMalformed}
	}
	if refusal := keys.verify(parsed, v.secret); refusal != nil {
		return nil, refusal
	}
	claims, refusal := v.judge(parsed)
	if refusal != nil {
		return nil, refusal
	}
	keys.seen.put(digest, claims)
	return claims.copy(), nil
}

// judge applies the rules for the claims of a token whose signature is right.
func (v *Verifier) judge(t *parsedToken) (*Claims, *Refusal) {
	claims := t.claims
	var expiry time.Time
	raw, hasExp := claims["exp"]
	if hasExp {
		seconds, ok := wholeSeconds(raw)
		if !ok {
			return nil, &Refusal{code: "InvalidJWTToken", text: textExpiry}
		}
		expiry = time.Unix(seconds, 0)
		if now := v.now(); !now.Before(expiry) {
			return nil, expired(now.Sub(expiry))
		}
	}
	if issued, ok := claims["iat"]; ok {
		if _, ok := wholeSeconds(issued); !ok {
			return nil, unfit("claim `iat` must be a number")
		}
	}
	for claim, want := range v.validators {
		if got, ok := claims[claim].(string); !ok || got != want {
			return nil, unfit(fmt.Sprintf("claim `%s` must be %q", claim, want))
		}
	}
	role, ok := claims["role"].(string)
	if !ok || role == "" || !hasExp {
		return nil, &Refusal{code: "InvalidJWTToken", text: textFields}
	}
	subject, _ := claims["sub"].(string) // optional
	return &Claims{Role: role, Subject: subject, Expiry: expiry, Raw: t.raw, values: claims}, nil
}

// wholeSeconds reads a time claim. Decimals are allowed, and rounded.
func wholeSeconds(claim any) (int64, bool) {
	number, ok := claim.(json.Number)
	if !ok {
		return 0, false
	}
	seconds, err := number.Float64()
	if err != nil || math.Abs(seconds) > 1e12 { // beyond the year 33,000 it is not a time in seconds
		return 0, false
	}
	return int64(math.Round(seconds)), true
}

// Expired is the refusal for a token that was good and ran out while it was in use.
func (v *Verifier) Expired(c *Claims) *Refusal { return expired(v.now().Sub(c.Expiry)) }

// believe takes an unverified token at its word; without one, the bearer is trusted.
func (v *Verifier) believe(token string) *Claims {
	trusted := &Claims{Role: RoleService, Raw: json.RawMessage(`{"role":"service_role"}`)}
	parsed, err := parseToken(token)
	if err != nil {
		return trusted
	}
	role, _ := parsed.claims["role"].(string)
	if role == "" {
		return trusted
	}
	subject, _ := parsed.claims["sub"].(string) // optional
	return &Claims{Role: role, Subject: subject, Raw: parsed.raw, values: parsed.claims}
}
