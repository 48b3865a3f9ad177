package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
)

const (
	maxKeys    = 1000 // of one set
	minRSABits = 2048 // shorter ones can be factored
)

// keyName finds a key. The family is part of the name: a token that names an algorithm of another
// family than the key's finds no key, whatever its kid says.
type keyName struct {
	kid    string
	family family
}

type verifyKey struct {
	algorithm string // the only one that it is for; "": any of its family
	key       any    // what the family's jwt.SigningMethod takes
}

// keyset is one reading of a JWKS, and the tokens that were verified with it. It does not change.
type keyset struct {
	none bool // no JWKS is configured at all
	keys map[keyName]verifyKey
	seen *seen
}

// parseKeys reads a JWKS. Keys that cannot verify tokens here are left out, each with a reason; a
// text that is not a key set is an error.
func parseKeys(text []byte) (set *keyset, left []error, err error) {
	var file struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, nil, fmt.Errorf("it is not a JSON Web Key Set: %w", err)
	}
	if file.Keys == nil {
		return nil, nil, errors.New(`it is not a JSON Web Key Set: it has no list of "keys"`)
	}
	if len(*file.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("it has %d keys: at most %d are read", len(*file.Keys), maxKeys)
	}
	set = &keyset{keys: map[keyName]verifyKey{}, seen: newSeen()}
	for i, raw := range *file.Keys {
		name, key, err := parseKey(raw)
		if _, twice := set.keys[name]; err == nil && twice {
			err = errors.New("an earlier key has the same kid and type")
		}
		if err != nil {
			left = append(left, fmt.Errorf("keys[%d] (kid %q) is not used: %w", i, name.kid, err))
			continue
		}
		set.keys[name] = key
	}
	return set, left, nil
}

func parseKey(raw json.RawMessage) (keyName, verifyKey, error) {
	var fields jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &fields); err != nil {
		return keyName{}, verifyKey{}, err
	}
	name := keyName{kid: fields.KID}
	switch {
	case fields.KID == "":
		return name, verifyKey{}, errors.New("it has no kid, and tokens name their key by it")
	case fields.USE != "" && fields.USE != jwkset.UseSig:
		return name, verifyKey{}, fmt.Errorf("its use is %q, not sig", fields.USE)
	case len(fields.KEYOPS) > 0 && !slices.Contains(fields.KEYOPS, jwkset.KeyOpsVerify):
		return name, verifyKey{}, errors.New("verify is not among its key_ops")
	}
	// Certificates prove nothing here, the set itself is trusted; and their URL must not be fetched.
	fields.X5U, fields.X5C, fields.X5T, fields.X5TS256 = "", nil, "", ""
	jwk, err := jwkset.NewJWKFromMarshal(fields, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if err != nil {
		return name, verifyKey{}, err
	}
	key := verifyKey{algorithm: fields.ALG.String()}
	if name.family, key.key, err = publicKey(jwk.Key()); err != nil {
		return name, verifyKey{}, err
	}
	if key.algorithm != "" {
		alg, ok := algorithms[key.algorithm]
		if !ok || alg.family != name.family {
			return name, verifyKey{}, fmt.Errorf("its alg %q is not one for a key of type %s", key.algorithm, name.family)
		}
		key.algorithm = alg.name
	}
	return name, key, nil
}

// publicKey returns the part of a key that verifies, and its family.
func publicKey(key any) (family, any, error) {
	switch k := key.(type) {
	case []byte:
		if len(k) < MinSecret {
			return "", nil, fmt.Errorf("the secret has %d bytes: use at least %d random ones", len(k), MinSecret)
		}
		return familySecret, k, nil
	case *rsa.PrivateKey:
		return publicKey(&k.PublicKey)
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return "", nil, fmt.Errorf("an RSA key of %d bits is too weak: use at least %d", k.N.BitLen(), minRSABits)
		}
		return familyRSA, k, nil
	case *ecdsa.PrivateKey:
		return publicKey(&k.PublicKey)
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return familyP256, k, nil
		case elliptic.P384():
			return familyP384, k, nil
		case elliptic.P521():
			return familyP521, k, nil
		}
	case ed25519.PrivateKey:
		return publicKey(k.Public())
	case ed25519.PublicKey:
		return familyEd25519, k, nil
	}
	return "", nil, fmt.Errorf("keys of this type (%T) do not sign tokens here", key)
}

// verify checks the signature of a token with the key that it names, or with the shared secret.
func (s *keyset) verify(t *parsedToken, secret []byte) *Refusal {
	alg, ok := algorithms[t.algorithm]
	if !ok || t.critical {
		return noSigner("")
	}
	found, known := s.keys[keyName{t.kid, alg.family}]
	known = known && (found.algorithm == "" || found.algorithm == alg.name)
	// Tokens of Supabase Auth that are signed with the shared secret may carry a kid all the same.
	unknown := t.kid != "" && !known && !s.none
	key := found.key
	if !known {
		if alg.family != familySecret || len(secret) == 0 {
			refusal := noSigner("")
			if unknown {
				refusal = noSigner(t.kid)
			}
			refusal.unknownKey = unknown
			return refusal
		}
		key = secret
	}
	if err := alg.method.Verify(t.signed, t.signature, key); err != nil {
		return &Refusal{code: "JwtSignatureError", text: textSignature, unknownKey: unknown}
	}
	return nil
}
