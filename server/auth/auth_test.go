package auth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a-secret-of-at-least-thirty-two-bytes"

var now = time.Unix(1_800_000_000, 0)

func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func verifier(t *testing.T) *Verifier {
	t.Helper()
	v, err := New(t.Context(), Config{Secret: secret, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestRefusals(t *testing.T) {
	exp := now.Add(time.Hour).Unix()
	good := jwt.MapClaims{"role": "authenticated", "exp": exp}
	tampered := func() string {
		parts := strings.Split(sign(t, jwt.SigningMethodHS256, []byte(secret), good), ".")
		parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"role":"service_role","exp":4000000000}`))
		return strings.Join(parts, ".")
	}
	for name, c := range map[string]struct{ token, connect, join string }{
		"missing":      {"", "API key is missing", "MalformedJWT: The token provided is not a valid JWT"},
		"words":        {"not a token", "The token provided is not a valid JWT", "MalformedJWT: The token provided is not a valid JWT"},
		"three parts":  {"a.b.c", "The token provided is not a valid JWT", "MalformedJWT: The token provided is not a valid JWT"},
		"other secret": {sign(t, jwt.SigningMethodHS256, []byte("another"), good), "Failed to validate JWT signature", "JwtSignatureError: Failed to validate JWT signature"},
		"tampered":     {tampered(), "Failed to validate JWT signature", "JwtSignatureError: Failed to validate JWT signature"},
		"unsigned": {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good),
			"Failed to generate JWT signer, check your JWT secret or JWKS configuration",
			"JwtSignerError: Failed to generate JWT signer, check your JWT secret or JWKS configuration"},
		"no role": {sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": exp}),
			"Fields `role` and `exp` are required in JWT", "InvalidJWTToken: Fields `role` and `exp` are required in JWT"},
		"no exp": {sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"role": "authenticated"}),
			"Fields `role` and `exp` are required in JWT", "InvalidJWTToken: Fields `role` and `exp` are required in JWT"},
		"exp is a word": {sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"role": "authenticated", "exp": "tomorrow"}),
			"Token expiration time is invalid", "InvalidJWTToken: Token expiration time is invalid"},
		"expired": {sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"role": "authenticated", "exp": now.Unix() - 7}),
			"Token has expired", "InvalidJWTToken: Token has expired 7 seconds ago"},
		"expired, no role": {sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"exp": now.Unix() - 7}),
			"Token has expired", "InvalidJWTToken: Token has expired 7 seconds ago"},
		"exp is huge": {sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"role": "authenticated", "exp": 1e300}),
			"Token expiration time is invalid", "InvalidJWTToken: Token expiration time is invalid"},
		"iat is a word": {sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"role": "authenticated", "exp": exp, "iat": "today"}),
			"Error connecting to Realtime", "Unknown Error on Channel"},
		"expires now": {sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"role": "authenticated", "exp": now.Unix()}),
			"Token has expired", "InvalidJWTToken: Token has expired 0 seconds ago"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verifier(t).Verify(c.token)
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("accepted, or an error of another kind: %v", err)
			}
			if refusal.AtConnect() != c.connect {
				t.Errorf("at connect %q, want %q", refusal.AtConnect(), c.connect)
			}
			if refusal.AtJoin() != c.join {
				t.Errorf("at join %q, want %q", refusal.AtJoin(), c.join)
			}
		})
	}
}

func TestGoodTokens(t *testing.T) {
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		token := sign(t, method, []byte(secret), jwt.MapClaims{"role": "authenticated", "sub": "florist-7", "exp": 1_800_000_000.6})
		claims, err := verifier(t).Verify(token)
		if err != nil {
			t.Fatalf("%s: %v", method.Alg(), err)
		}
		if claims.Role != "authenticated" || claims.Subject != "florist-7" || !claims.Expiry.Equal(now.Add(time.Second)) {
			t.Errorf("%s: %+v", method.Alg(), claims)
		}
		if !strings.Contains(string(claims.Raw), `"florist-7"`) {
			t.Errorf("%s: raw claims %s", method.Alg(), claims.Raw)
		}
	}
}

func TestOpenVerifierTakesAnything(t *testing.T) {
	v, err := New(t.Context(), Config{Open: true})
	if err != nil {
		t.Fatal(err)
	}
	for token, role := range map[string]string{
		"":      RoleService,
		"words": RoleService,
		sign(t, jwt.SigningMethodHS256, []byte("any"), jwt.MapClaims{"role": "anon"}): "anon",
	} {
		claims, err := v.Verify(token)
		if err != nil || claims.Role != role {
			t.Errorf("%q: %+v, %v; want role %s", token, claims, err, role)
		}
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no secret":    {},
		"short secret": {Secret: "hunter2"},
		"open, secret": {Secret: secret, Open: true},
		"open, JWKS":   {JWKS: "keys.json", Open: true},
		"validator":    {Secret: secret, Validators: map[string]string{"iss": ""}},
		"refresh":      {Secret: secret, RefreshEvery: -time.Second},
	} {
		if _, err := New(t.Context(), cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{"a%2Eb": "a.b", " a.b\n": "a.b", "a%zz": "a%zz", "a b": "ab"} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestValidators(t *testing.T) {
	v, err := New(t.Context(), Config{Secret: secret, Now: func() time.Time { return now }, Validators: map[string]string{"iss": "https://id.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		iss  any
		good bool
	}{"equal": {"https://id.example.com", true}, "other": {"https://evil.example.com", false}, "a number": {7, false}, "missing": {nil, false}} {
		claims := jwt.MapClaims{"role": "authenticated", "exp": now.Unix() + 60, "iat": 1_700_000_000.25}
		if c.iss != nil {
			claims["iss"] = c.iss
		}
		_, err := v.Verify(sign(t, jwt.SigningMethodHS256, []byte(secret), claims))
		if c.good != (err == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var refusal *Refusal
		if errors.As(err, &refusal) && (refusal.Status() != http.StatusInternalServerError || !strings.Contains(refusal.Error(), "claim `iss` must be")) {
			t.Errorf("%s: %d %q", name, refusal.Status(), refusal.Error())
		}
	}
}

// A token can be written in one way only: another spelling of the same bytes is another text, and
// what is keyed by the text would take it for another token.
func TestTokensHaveOneSpelling(t *testing.T) {
	good := sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"role": "authenticated", "exp": now.Unix() + 60})
	last := strings.IndexByte(base64Alphabet, good[len(good)-1])
	for name, token := range map[string]string{
		"line end in the signature": good[:len(good)-3] + "\n" + good[len(good)-3:],
		"padding":                   good + "=",
		"loose last bits":           good[:len(good)-1] + string(base64Alphabet[last|1]),
		"a fourth part":             good + ".e30",
		"huge":                      good + strings.Repeat("A", maxToken),
	} {
		if _, err := verifier(t).Verify(token); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := verifier(t).Verify(good); err != nil {
		t.Error(err)
	}
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// What is remembered of a token must not outlive it, and bearers do not share what is theirs.
func TestRememberedTokens(t *testing.T) {
	clock := now
	v, err := New(t.Context(), Config{Secret: secret, Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	token := sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"role": "authenticated", "exp": now.Unix() + 60})
	first, err := v.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	first.Header = http.Header{"X-Device": {"door"}}
	second, err := v.Verify(token)
	if err != nil || second.Header != nil || second == first {
		t.Errorf("second bearer: %+v, %v", second, err)
	}
	clock = now.Add(61 * time.Second)
	if _, err := v.Verify(token); err == nil || err.Error() != "Token has expired 1 seconds ago" {
		t.Errorf("after its end: %v", err)
	}
}

func TestSeenIsBounded(t *testing.T) {
	s := newSeen()
	d := func(n int) digest { return digest{byte(n), byte(n >> 8), byte(n >> 16)} }
	for n := range 5 * seenTokens {
		s.put(d(n), &Claims{})
		s.get(d(0)) // stays, because it is used
	}
	if size := len(s.young) + len(s.old); size > 2*seenTokens {
		t.Errorf("%d tokens are remembered, at most %d should be", size, 2*seenTokens)
	}
	if s.get(d(0)) == nil || s.get(d(1)) != nil || s.get(d(5*seenTokens-1)) == nil {
		t.Error("the used and the newest must stay, the unused and old must go")
	}
}
