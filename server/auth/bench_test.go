package auth

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// A storm of connections is a storm of verifications: of tokens that come for the first time, and of
// tokens that come again, from the same supplier's other channels or after a region has died.
func BenchmarkVerify(b *testing.B) {
	v := withKeys(b, allKeys(b), secret)
	keys := testKeys()
	for _, c := range []struct{ name, token string }{
		{"HS256", signed(b, nil, jwt.SigningMethodHS256, []byte(secret))},
		{"ES256", signed(b, map[string]any{"kid": "p256"}, jwt.SigningMethodES256, keys["p256"])},
		{"RS256", signed(b, map[string]any{"kid": "rsa"}, jwt.SigningMethodRS256, keys["rsa"])},
		{"EdDSA", signed(b, map[string]any{"kid": "ed"}, jwt.SigningMethodEdDSA, keys["ed"])},
	} {
		b.Run(c.name+"/first", func(b *testing.B) {
			set := *v.keys.current.Load()
			fresh := &Verifier{secret: v.secret, now: v.now, keys: &keyring{}}
			b.ReportAllocs()
			for b.Loop() {
				set.seen = newSeen()
				fresh.keys.current.Store(&set)
				if _, err := fresh.Verify(c.token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/again", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(c.token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Refusing is what happens under attack.
func BenchmarkRefuse(b *testing.B) {
	v := withKeys(b, allKeys(b), secret)
	token := signed(b, map[string]any{"kid": "unknown"}, jwt.SigningMethodES256, testOther())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(token); err == nil {
			b.Fatal("accepted")
		}
	}
}

// Asking the wedding policy, for a bearer whom one of the last rules lets in.
func BenchmarkPolicy(b *testing.B) {
	policy, err := LoadPolicy("testdata/wedding-policy.yaml")
	if err != nil {
		b.Fatal(err)
	}
	baker := bearer(b, `{"role":"authenticated","app_metadata":{"weddings":["40","41","42"],"vendor_type":"baker"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if !policy(baker, "wedding:42:guests", Broadcast, Read) {
			b.Fatal("refused")
		}
	}
}

func TestPolicyAllocatesNothing(t *testing.T) {
	policy, err := LoadPolicy("testdata/wedding-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	baker := bearer(t, `{"role":"authenticated","app_metadata":{"weddings":["40","41","42"],"vendor_type":"baker"}}`)
	if n := testing.AllocsPerRun(100, func() { policy(baker, "wedding:42:guests", Broadcast, Read) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}
