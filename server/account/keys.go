package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/wedsync/wedsync/server/auth"
)

// LocalSecret is the secret that every local Supabase has, as its documentation says. Everybody knows it.
const LocalSecret = "super-secret-jwt-token-with-at-least-32-characters-long"

// keysExpire is when the documented local keys run out: 2032-11-11.
const keysExpire = 1983812996

// Keys returns the API keys that belong to a secret: of visitors, and of trusted back ends. With
// LocalSecret they are byte for byte the documented ones of a local Supabase, which people have in
// their .env files; when those have run out, they are good for another year.
func Keys(secret string, now time.Time) (anon, serviceRole string) {
	expiry := int64(keysExpire)
	if now.Unix() >= expiry {
		expiry = now.AddDate(1, 0, 0).Unix()
	}
	return apiKey(secret, auth.RoleAnonymous, expiry), apiKey(secret, auth.RoleService, expiry)
}

// apiKey signs by hand, because the order of the fields is part of the result.
func apiKey(secret, role string, expiry int64) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		encode(fmt.Appendf(nil, `{"iss":"supabase-demo","role":%q,"exp":%d}`, role, expiry))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}
