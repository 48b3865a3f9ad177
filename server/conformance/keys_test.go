package conformance

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"sync"
	"testing"
)

// keys is one private key of each kind.
type keys struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
	oct []byte
}

// generate makes the keys of the whole run: an RSA key takes its time.
var generate = sync.OnceValues(func() (*keys, error) {
	k := &keys{oct: []byte("an oct key of at least thirty-two bytes")}
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	return k, err
})

func newKeys(t *testing.T) *keys {
	t.Helper()
	k, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// jwks is the key set as a project publishes it, with key ids rsa-1, ec-1, ed-1 and oct-1.
func (k *keys) jwks(t *testing.T) []byte {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString
	point, err := k.ec.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	half := (len(point) - 1) / 2
	set, err := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "kid": "rsa-1", "use": "sig", "n": text(k.rsa.N.Bytes()), "e": text(big.NewInt(int64(k.rsa.E)).Bytes())},
		{"kty": "EC", "kid": "ec-1", "use": "sig", "crv": "P-256", "x": text(point[1 : 1+half]), "y": text(point[1+half:])},
		{"kty": "OKP", "kid": "ed-1", "use": "sig", "crv": "Ed25519", "x": text(k.ed.Public().(ed25519.PublicKey))},
		{"kty": "oct", "kid": "oct-1", "use": "sig", "k": text(k.oct)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}
