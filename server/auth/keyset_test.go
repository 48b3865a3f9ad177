package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const octSecret = "another-secret-of-thirty-two-bytes-or-more"

// testKeys are made once: RSA keys take their time.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	must := func(key crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return key
	}
	generate := func(curve elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		return must(k, err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	weak, weakErr := rsa.GenerateKey(rand.Reader, 1024)
	_, ed, edErr := ed25519.GenerateKey(rand.Reader)
	return map[string]crypto.Signer{
		"rsa": must(rsaKey, err), "weak": must(weak, weakErr), "ed": must(ed, edErr),
		"p256": generate(elliptic.P256()), "p384": generate(elliptic.P384()), "p521": generate(elliptic.P521()),
	}
})

// jwk writes a key as an entry of a JWKS; what follows overwrites its fields.
func jwk(t testing.TB, kid string, key any, with ...string) json.RawMessage {
	t.Helper()
	k, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{
		Marshal: jwkset.JWKMarshalOptions{Private: true}, Metadata: jwkset.JWKMetadataOptions{KID: kid}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(k.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "alg")
	for i := 0; i < len(with); i += 2 {
		var value any
		if err := json.Unmarshal([]byte(with[i+1]), &value); err != nil {
			t.Fatal(err)
		}
		fields[with[i]] = value
	}
	text, err = json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func jwks(t testing.TB, keys ...json.RawMessage) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// allKeys is a set with one key of each kind.
func allKeys(t testing.TB) []byte {
	keys := []json.RawMessage{jwk(t, "oct", []byte(octSecret))}
	for kid, key := range testKeys() {
		keys = append(keys, jwk(t, kid, key.Public()))
	}
	return jwks(t, keys...)
}

func writeFile(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func withKeys(t testing.TB, set []byte, secret string) *Verifier {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	writeFile(t, path, set)
	v, err := New(t.Context(), Config{Secret: secret, JWKS: path, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signed makes a token with a header that says whatever is wanted.
func signed(t testing.TB, header map[string]any, method jwt.SigningMethod, key any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{"role": "authenticated", "exp": now.Unix() + 60})
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryAlgorithm(t *testing.T) {
	v := withKeys(t, allKeys(t), secret)
	keys := testKeys()
	for name, c := range map[string]struct {
		method jwt.SigningMethod
		kid    string
		key    any
	}{
		"HS256": {jwt.SigningMethodHS256, "oct", []byte(octSecret)}, "HS384": {jwt.SigningMethodHS384, "oct", []byte(octSecret)},
		"HS512": {jwt.SigningMethodHS512, "oct", []byte(octSecret)}, "RS256": {jwt.SigningMethodRS256, "rsa", keys["rsa"]},
		"RS384": {jwt.SigningMethodRS384, "rsa", keys["rsa"]}, "RS512": {jwt.SigningMethodRS512, "rsa", keys["rsa"]},
		"PS256": {jwt.SigningMethodPS256, "rsa", keys["rsa"]}, "PS384": {jwt.SigningMethodPS384, "rsa", keys["rsa"]},
		"PS512": {jwt.SigningMethodPS512, "rsa", keys["rsa"]}, "ES256": {jwt.SigningMethodES256, "p256", keys["p256"]},
		"ES384": {jwt.SigningMethodES384, "p384", keys["p384"]}, "ES512": {jwt.SigningMethodES512, "p521", keys["p521"]},
		"EdDSA": {jwt.SigningMethodEdDSA, "ed", keys["ed"]}, "Ed25519": {jwt.SigningMethodEdDSA, "ed", keys["ed"]},
	} {
		t.Run(name, func(t *testing.T) {
			token := signed(t, map[string]any{"kid": c.kid, "alg": name}, c.method, c.key)
			for range 2 { // verified, then remembered
				if claims, err := v.Verify(token); err != nil || claims.Role != "authenticated" {
					t.Errorf("%+v, %v", claims, err)
				}
			}
			parts := strings.Split(token, ".")
			parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"role":"service_role","exp":4000000000}`))
			if _, err := v.Verify(strings.Join(parts, ".")); err == nil || err.Error() != textSignature {
				t.Errorf("tampered: %v", err)
			}
		})
	}
	// Most tokens of Supabase Auth: the shared secret, and a kid that the set does not have.
	if _, err := v.Verify(signed(t, map[string]any{"kid": "legacy"}, jwt.SigningMethodHS256, []byte(secret))); err != nil {
		t.Errorf("shared secret with a kid: %v", err)
	}
	if _, err := v.Verify(signed(t, nil, jwt.SigningMethodHS256, []byte(secret))); err != nil {
		t.Errorf("shared secret without a kid: %v", err)
	}
}

// Each case is an attack that some library has fallen for.
func TestAttacks(t *testing.T) {
	keys := testKeys()
	der, err := x509.MarshalPKIXPublicKey(keys["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	modulus := keys["rsa"].Public().(*rsa.PublicKey).N.Bytes()
	unsigned := func(alg string) string {
		part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
		return part(`{"alg":"`+alg+`","typ":"JWT","kid":"rsa"}`) + "." + part(`{"role":"service_role","exp":4000000000}`) + "."
	}
	noKey := func(kid string) string {
		return `Failed to generate JWT signer for key ID (kid) "` + kid + `", check your JWT secret or JWKS configuration`
	}
	v := withKeys(t, allKeys(t), secret)
	only := withKeys(t, allKeys(t), "") // no shared secret
	bare := verifier(t)                 // no JWKS
	for name, c := range map[string]struct {
		v     *Verifier
		token string
		want  string
	}{
		"RSA public key (PEM) as HMAC secret":     {v, signed(t, map[string]any{"kid": "rsa"}, jwt.SigningMethodHS256, rsaPEM), textSignature},
		"RSA public key (DER) as HMAC secret":     {v, signed(t, map[string]any{"kid": "rsa"}, jwt.SigningMethodHS256, der), textSignature},
		"RSA modulus as HMAC secret":              {v, signed(t, map[string]any{"kid": "rsa"}, jwt.SigningMethodHS256, modulus), textSignature},
		"the same without a shared secret":        {only, signed(t, map[string]any{"kid": "rsa"}, jwt.SigningMethodHS256, rsaPEM), noKey("rsa")},
		"empty HMAC secret":                       {only, signed(t, nil, jwt.SigningMethodHS256, []byte{}), textNoKey},
		"empty HMAC secret with a kid":            {only, signed(t, map[string]any{"kid": "none"}, jwt.SigningMethodHS256, []byte{}), noKey("none")},
		"none":                                    {v, unsigned("none"), textNoKey},
		"None":                                    {v, unsigned("None"), textNoKey},
		"nOnE":                                    {v, unsigned("nOnE"), textNoKey},
		"no algorithm":                            {v, unsigned(""), textNoKey},
		"RS256 without a signature":               {v, unsigned("RS256"), textSignature},
		"HS256 without a signature":               {v, unsigned("HS256"), textSignature},
		"oct key named for RS256":                 {v, signed(t, map[string]any{"kid": "oct"}, jwt.SigningMethodRS256, keys["rsa"]), noKey("oct")},
		"P-256 key named for ES384":               {v, signed(t, map[string]any{"kid": "p256"}, jwt.SigningMethodES384, keys["p384"]), noKey("p256")},
		"P-384 key named for ES256":               {v, signed(t, map[string]any{"kid": "p384"}, jwt.SigningMethodES256, keys["p256"]), noKey("p384")},
		"own key, honest kid":                     {v, signed(t, map[string]any{"kid": "p256"}, jwt.SigningMethodES256, testOther()), textSignature},
		"own key in the header":                   {v, signed(t, map[string]any{"kid": "mine", "jwk": jwk(t, "mine", testOther().Public())}, jwt.SigningMethodES256, testOther()), noKey("mine")},
		"URL of own keys in the header":           {v, signed(t, map[string]any{"kid": "mine", "jku": "https://evil.example.com/jwks.json"}, jwt.SigningMethodES256, testOther()), noKey("mine")},
		"path as kid":                             {v, signed(t, map[string]any{"kid": "../../dev/null"}, jwt.SigningMethodHS256, []byte{}), textSignature},
		"kid that is no text":                     {v, signed(t, map[string]any{"kid": 7}, jwt.SigningMethodRS256, keys["rsa"]), textNoKey},
		"no kid":                                  {v, signed(t, nil, jwt.SigningMethodRS256, keys["rsa"]), textNoKey},
		"empty kid":                               {v, signed(t, map[string]any{"kid": ""}, jwt.SigningMethodRS256, keys["rsa"]), textNoKey},
		"weak RSA key is not in use":              {v, signed(t, map[string]any{"kid": "weak"}, jwt.SigningMethodRS256, keys["weak"]), noKey("weak")},
		"critical extension":                      {v, signed(t, map[string]any{"crit": []string{"exp"}}, jwt.SigningMethodHS256, []byte(secret)), textNoKey},
		"shared secret where the set has a key":   {v, signed(t, map[string]any{"kid": "oct"}, jwt.SigningMethodHS256, []byte(secret)), textSignature},
		"RS256 where only a secret is configured": {bare, signed(t, map[string]any{"kid": "rsa"}, jwt.SigningMethodRS256, keys["rsa"]), textNoKey},
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := c.v.Verify(c.token)
			if err == nil {
				t.Fatalf("accepted as %+v", claims)
			}
			if err.Error() != c.want {
				t.Errorf("refused with %q, want %q", err, c.want)
			}
		})
	}
}

var testOther = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

func TestRefusedKidIsShort(t *testing.T) {
	v := withKeys(t, allKeys(t), secret)
	_, err := v.Verify(signed(t, map[string]any{"kid": strings.Repeat("k", 4000)}, jwt.SigningMethodES256, testOther()))
	var refusal *Refusal
	if !errors.As(err, &refusal) || len(refusal.AtJoin()) > 300 || !strings.HasPrefix(refusal.AtJoin(), "JwtSignerError: Failed to generate JWT signer for key ID (kid) \"kkk") {
		t.Errorf("%v", err)
	}
}

// Keys that cannot be used are left out with a reason, and do not take the others along.
func TestUnusableKeys(t *testing.T) {
	p256 := testKeys()["p256"]
	good := jwk(t, "good", p256.Public())
	for name, c := range map[string]struct {
		key  json.RawMessage
		want string
	}{
		"no kid":            {jwk(t, "", p256.Public()), "no kid"},
		"for encryption":    {jwk(t, "k", p256.Public(), "use", `"enc"`), `its use is "enc"`},
		"not for verifying": {jwk(t, "k", p256.Public(), "key_ops", `["encrypt"]`), "verify is not among its key_ops"},
		"weak RSA":          {jwk(t, "k", testKeys()["weak"].Public()), "an RSA key of 1024 bits is too weak"},
		"short secret":      {jwk(t, "k", []byte("hunter2")), "the secret has 7 bytes"},
		"alg of another":    {jwk(t, "k", p256.Public(), "alg", `"HS256"`), `its alg "HS256" is not one for a key of type EC P-256`},
		"alg none":          {jwk(t, "k", p256.Public(), "alg", `"none"`), `its alg "none"`},
		"not on the curve":  {jwk(t, "k", p256.Public(), "x", `"AAAA"`), ""},
		"unknown type":      {json.RawMessage(`{"kid":"k","kty":"XYZ"}`), ""},
		"a word":            {json.RawMessage(`"k"`), ""},
		"twice":             {jwk(t, "good", p256.Public()), "an earlier key has the same kid and type"},
	} {
		t.Run(name, func(t *testing.T) {
			set, left, err := parseKeys(jwks(t, good, c.key))
			if err != nil || len(set.keys) != 1 || len(left) != 1 || !strings.Contains(left[0].Error(), c.want) || !strings.Contains(left[0].Error(), "keys[1]") {
				t.Errorf("%d keys, %v, %v", len(set.keys), left, err)
			}
		})
	}
	for name, text := range map[string]string{"not JSON": "<html>", "no list": `{"error":"not found"}`, "list": "[]", "too many": `{"keys":[` + strings.Repeat("1,", maxKeys) + `1]}`} {
		if _, _, err := parseKeys([]byte(text)); err == nil {
			t.Errorf("%s was taken for a key set", name)
		}
	}
}

// A key that says what it is for is used for nothing else; private keys are taken by their public part.
func TestKeyForOneAlgorithm(t *testing.T) {
	v := withKeys(t, jwks(t, jwk(t, "rsa", testKeys()["rsa"], "alg", `"RS256"`, "key_ops", `["sign","verify"]`, "use", `"sig"`)), "")
	if _, err := v.Verify(signed(t, map[string]any{"kid": "rsa"}, jwt.SigningMethodRS256, testKeys()["rsa"])); err != nil {
		t.Error(err)
	}
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS512, jwt.SigningMethodPS256} {
		if _, err := v.Verify(signed(t, map[string]any{"kid": "rsa"}, method, testKeys()["rsa"])); err == nil {
			t.Errorf("%s was accepted", method.Alg())
		}
	}
}
