package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// maxToken bounds what is decoded for a stranger, in bytes. Tokens travel in URLs and headers, which
// are smaller.
const maxToken = 16 << 10

// family is what a key must be for an algorithm: its type, and its curve where there are several.
type family string

const (
	familySecret  family = "oct"
	familyRSA     family = "RSA"
	familyP256    family = "EC P-256"
	familyP384    family = "EC P-384"
	familyP521    family = "EC P-521"
	familyEd25519 family = "OKP Ed25519"
)

type algorithm struct {
	name   string
	family family
	method jwt.SigningMethod
}

// algorithms are those that a token may name. What is not here, above all "none", has no signer.
var algorithms = map[string]algorithm{
	"HS256": {"HS256", familySecret, jwt.SigningMethodHS256},
	"HS384": {"HS384", familySecret, jwt.SigningMethodHS384},
	"HS512": {"HS512", familySecret, jwt.SigningMethodHS512},
	"RS256": {"RS256", familyRSA, jwt.SigningMethodRS256},
	"RS384": {"RS384", familyRSA, jwt.SigningMethodRS384},
	"RS512": {"RS512", familyRSA, jwt.SigningMethodRS512},
	"PS256": {"PS256", familyRSA, jwt.SigningMethodPS256},
	"PS384": {"PS384", familyRSA, jwt.SigningMethodPS384},
	"PS512": {"PS512", familyRSA, jwt.SigningMethodPS512},
	"ES256": {"ES256", familyP256, jwt.SigningMethodES256},
	"ES384": {"ES384", familyP384, jwt.SigningMethodES384},
	"ES512": {"ES512", familyP521, jwt.SigningMethodES512},
	"EdDSA": {"EdDSA", familyEd25519, jwt.SigningMethodEdDSA},
	// The same, named after its curve as newer libraries do.
	"Ed25519": {"EdDSA", familyEd25519, jwt.SigningMethodEdDSA},
}

// parsedToken is a token taken apart. Nothing of it is believed yet.
type parsedToken struct {
	algorithm string
	kid       string // "" if the header names none
	critical  bool   // the header asks for extensions that must be understood
	signed    string // what the signature is over
	signature []byte
	raw       []byte // the claims object
	claims    map[string]any
}

var errNotToken = errors.New("not three parts of base64url, separated by dots")

// parseToken takes a token apart. It is strict, so that there is one way to write each token.
func parseToken(token string) (*parsedToken, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("%w: a token of %d bytes", errTooLarge, len(token))
	}
	if strings.Count(token, ".") != 2 || strings.ContainsAny(token, "\r\n") { // base64 would pass over line ends
		return nil, errNotToken
	}
	end := strings.LastIndexByte(token, '.')
	t := &parsedToken{signed: token[:end]}
	head, body, _ := strings.Cut(t.signed, ".")
	var err error
	if t.signature, err = base64.RawURLEncoding.Strict().DecodeString(token[end+1:]); err != nil {
		return nil, errNotToken
	}
	header, _, err := decodePart(head)
	if err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	t.algorithm, _ = header["alg"].(string)
	t.kid, _ = header["kid"].(string)
	_, t.critical = header["crit"]
	if t.claims, t.raw, err = decodePart(body); err != nil {
		return nil, fmt.Errorf("the claims: %w", err)
	}
	return t, nil
}

func decodePart(part string) (object map[string]any, raw []byte, err error) {
	if raw, err = base64.RawURLEncoding.DecodeString(part); err != nil {
		return nil, nil, errNotToken
	}
	object, err = decodeObject(raw)
	return object, raw, err
}
