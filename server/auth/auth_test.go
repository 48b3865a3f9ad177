package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

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
	v, err := New(Config{Secret: secret, Now: func() time.Time { return now }})
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
	v, err := New(Config{Open: true})
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
	} {
		if _, err := New(cfg); err == nil {
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

func TestMembersPolicy(t *testing.T) {
	for role, want := range map[string]bool{"anon": false, "authenticated": true, RoleService: true} {
		if got := Members(&Claims{Role: role}, "wed:42", Broadcast, Read); got != want {
			t.Errorf("role %s: %v, want %v", role, got, want)
		}
	}
}
