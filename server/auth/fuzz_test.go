package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"go.yaml.in/yaml/v3"
)

// What strangers send is refused or understood, and nothing else. Run one with:
// go test -run '^$' -fuzz '^FuzzVerify$' ./server/auth

// FuzzVerify checks that no token is accepted that was not signed: of what is accepted, the signed
// part is one that this test has signed. Then it signs the claims, whatever they are.
func FuzzVerify(f *testing.F) {
	v := withKeys(f, allKeys(f), secret)
	policy, err := LoadPolicy("testdata/wedding-policy.yaml")
	if err != nil {
		f.Fatal(err)
	}
	keys := testKeys()
	ours := map[string]bool{}
	for _, token := range []string{
		signed(f, nil, jwt.SigningMethodHS256, []byte(secret)),
		signed(f, map[string]any{"kid": "oct"}, jwt.SigningMethodHS512, []byte(octSecret)),
		signed(f, map[string]any{"kid": "p256"}, jwt.SigningMethodES256, keys["p256"]),
		signed(f, map[string]any{"kid": "ed"}, jwt.SigningMethodEdDSA, keys["ed"]),
		signed(f, map[string]any{"kid": "rsa"}, jwt.SigningMethodPS256, keys["rsa"]),
	} {
		ours[token[:strings.LastIndexByte(token, '.')]] = true
		f.Add(token, []byte(`{"role":"authenticated","exp":1800000060,"iat":1.5}`))
	}
	f.Add("eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYW5vbiJ9.", []byte(`{"role":"a","exp":1e400}`))
	f.Add("..", []byte(`{"role":"a","role":7,"exp":4000000000} `))
	f.Add("a.b.c", []byte(`null`))
	f.Fuzz(func(t *testing.T, token string, claims []byte) {
		if c, err := v.Verify(token); err == nil && !ours[token[:max(0, strings.LastIndexByte(token, '.'))]] {
			t.Fatalf("accepted, though nobody signed it: %q as %+v", token, c)
		}
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(text))
		c, err := v.Verify(text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
		if err != nil {
			return
		}
		var seen map[string]any
		if err := json.Unmarshal(claims, &seen); err != nil {
			t.Fatalf("claims that are not JSON were accepted: %q", claims)
		}
		if exp, ok := seen["exp"].(float64); !ok || exp < float64(now.Unix()) || seen["role"] != c.Role || c.Role == "" || !c.Expiry.After(now) {
			t.Fatalf("accepted %q as %+v", claims, c)
		}
		if string(c.Raw) != string(claims) {
			t.Fatalf("raw claims %q of %q", c.Raw, claims)
		}
		if policy(c, "wedding:42", Broadcast, Read) && !strings.Contains(string(claims), "42") && !strings.Contains(string(claims), `\u`) && c.Role != RoleService {
			t.Fatalf("the wedding policy let %q in", claims)
		}
	})
}

// FuzzParsePolicy checks that any text is either a policy that can be asked, or errors with lines.
func FuzzParsePolicy(f *testing.F) {
	wedding, err := os.ReadFile("testdata/wedding-policy.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{defaultText, localText, wedding, []byte(openRules), []byte("rules: &r [*r]"), []byte("rules:\n  - <<: {allow: read}\n"),
		[]byte("rules: [{allow: read, roles: !!binary aGk=, topics: ? }]"), []byte("%YAML 9.9\n---\nrules: |\n a\n")} {
		f.Add(seed)
	}
	c := bearer(f, `{"role":"authenticated","sub":"u","app_metadata":{"weddings":["42",7],"vendor_type":"florist"}}`)
	f.Fuzz(func(t *testing.T, text []byte) {
		policy, err := ParsePolicy(text)
		if (policy == nil) == (err == nil) {
			t.Fatal("neither a policy nor an error, or both")
		}
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\npolicy:") {
				if !strings.HasPrefix(line, "policy:") && !strings.ContainsAny(line[:1], "0123456789 ") {
					t.Fatalf("an error without its line: %q", line)
				}
			}
			return
		}
		for _, topic := range []string{"", ":", "wedding:42", "wedding:42:vendor:florist", string(text)} {
			first := policy(c, topic, Presence, Write)
			if policy(c, topic, Presence, Write) != first {
				t.Fatal("the same question was answered differently")
			}
		}
	})
}

// FuzzPolicyTopic compares patterns with a slow but obvious reading of their description.
func FuzzPolicyTopic(f *testing.F) {
	f.Add("wedding:{claims.w}:**", "wedding:42:timeline", "42")
	f.Add("**", "", "")
	f.Add("*:*", "a:", "")
	f.Add("{claims.w}", "*", "*")
	f.Add("{claims.w}:b", "a:b", "a:b")
	f.Add("a:{claims.other}", "a:", "")
	f.Fuzz(func(t *testing.T, text, topic, value string) {
		var file policyFile
		compiled := file.pattern(&yaml.Node{Value: text, Line: 1}, "topics")
		if len(file.mistakes) > 0 {
			return
		}
		want := fitsSlowly(strings.Split(text, ":"), strings.Split(topic, ":"), value)
		for name, claim := range map[string]any{"text": value, "list": []any{"\x00other", value, 7}} {
			c := &Claims{values: map[string]any{"w": claim}}
			if got := compiled.fits(topic, c); got != want {
				t.Errorf("%s: pattern %q, topic %q, claim %q: %v, want %v", name, text, topic, value, got, want)
			}
		}
		if strings.Contains(text, "{claims.") && compiled.fits(topic, &Claims{}) {
			t.Errorf("pattern %q fits %q without the claim", text, topic)
		}
	})
}

func fitsSlowly(pattern, topic []string, w string) bool {
	if len(pattern) == 0 || len(topic) == 0 {
		return len(pattern) == len(topic)
	}
	switch p, s := pattern[0], topic[0]; {
	case p == "**":
		return true
	case p == "*":
		return s != "" && fitsSlowly(pattern[1:], topic[1:], w)
	case p == "{claims.w}":
		return s != "" && s == w && fitsSlowly(pattern[1:], topic[1:], w)
	case strings.HasPrefix(p, "{claims."):
		return false
	default:
		return p == s && fitsSlowly(pattern[1:], topic[1:], w)
	}
}
