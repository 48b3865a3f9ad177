package account

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/server/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client calls the handler as a test suite does.
type client struct {
	t     *testing.T
	url   string
	http  *http.Client
	clock *clock
}

// clock is the server's time, which tests turn on.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func serve(t *testing.T, limit int) *client {
	t.Helper()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	h, err := New(Config{Secret: LocalSecret, MaxAccounts: limit, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	h.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &client{t: t, url: server.URL, http: server.Client(), clock: c}
}

// reply is the body of an answer.
type reply map[string]any

func (r reply) text(path string) string {
	var value any = map[string]any(r)
	for key := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any) // nil: there is no such thing
		value = object[key]
	}
	text, _ := value.(string) // "": it is none
	return text
}

// call fails the test unless the status is the one that is wanted.
func (c *client) call(method, path, token, body string, status int) reply {
	c.t.Helper()
	answer, _ := c.request(method, path, token, body, status)
	return answer
}

func (c *client) request(method, path, token, body string, status int) (reply, http.Header) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+Prefix+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != status {
		c.t.Fatalf("%s %s: %s %s, want %d", method, path, resp.Status, text, status)
	}
	answer := reply{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return answer, resp.Header
}

// refused checks an answer in the shape of an error.
func (c *client) refused(method, path, token, body string, status int, code, text string) {
	c.t.Helper()
	answer := c.call(method, path, token, body, status)
	if answer["code"] != float64(status) || answer["error_code"] != code || !strings.HasPrefix(answer.text("msg"), text) {
		c.t.Errorf("%s %s: %v, want %d %s %q", method, path, answer, status, code, text)
	}
}

const florist = `{"email":"Florist@Example.com ","password":"peonies","data":{"trade":"florist"}}`

func TestSignUp(t *testing.T) {
	c := serve(t, 0)
	answer := c.call("POST", "/signup", "", florist, 200)
	if answer["token_type"] != "bearer" || answer["expires_in"] != 3600.0 || answer["expires_at"] != 1_800_003_600.0 || answer.text("refresh_token") == "" {
		t.Errorf("session: %v", answer)
	}
	for path, want := range map[string]string{"user.email": "florist@example.com", "user.aud": "authenticated", "user.role": "authenticated",
		"user.app_metadata.provider": "email", "user.user_metadata.trade": "florist", "user.email_confirmed_at": "2027-01-15T08:00:00Z",
		"user.created_at": "2027-01-15T08:00:00Z", "user.last_sign_in_at": "2027-01-15T08:00:00Z", "user.phone": ""} {
		if got := answer.text(path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	user := answer["user"].(map[string]any)
	identities := user["identities"].([]any)
	if len(identities) != 1 || identities[0].(map[string]any)["user_id"] != user["id"] {
		t.Errorf("identities: %v", identities)
	}

	// The server takes the token.
	v, err := auth.New(t.Context(), auth.Config{Secret: LocalSecret, Now: c.clock.Now, Validators: map[string]string{"iss": defaultIssuer}})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := v.Verify(answer.text("access_token"))
	if err != nil {
		t.Fatal(err)
	}
	if claims.Role != "authenticated" || claims.Subject != answer.text("user.id") || !claims.Expiry.Equal(time.Unix(1_800_003_600, 0)) {
		t.Errorf("claims: %+v", claims)
	}
	var raw struct {
		Aud, Email, Session string
		Iat                 int64
		Meta                map[string]any `json:"user_metadata"`
		SessionID           string         `json:"session_id"`
	}
	if err := json.Unmarshal(claims.Raw, &raw); err != nil || raw.Aud != "authenticated" || raw.Email != "florist@example.com" ||
		raw.Iat != 1_800_000_000 || raw.SessionID == "" || raw.Meta["trade"] != "florist" {
		t.Errorf("claims: %s, %v", claims.Raw, err)
	}
}

func TestSignUpIsRefused(t *testing.T) {
	c := serve(t, 0)
	c.call("POST", "/signup", "", florist, 200)
	for name, r := range map[string]struct {
		body   string
		status int
		code   string
		text   string
	}{
		"again":         {florist, 422, "user_already_exists", "User already registered"},
		"weak":          {`{"email":"a@example.com","password":"short"}`, 422, "weak_password", "Password should be at least 6 characters."},
		"long":          {`{"email":"a@example.com","password":"` + strings.Repeat("x", 73) + `"}`, 400, "validation_failed", "Password cannot be longer"},
		"no address":    {`{"email":"nobody","password":"peonies"}`, 400, "validation_failed", "Unable to validate email address"},
		"a name with":   {`{"email":"Flo <a@example.com>","password":"peonies"}`, 400, "validation_failed", "Unable to validate email address"},
		"no password":   {`{"email":"a@example.com"}`, 400, "validation_failed", "Signup requires a valid password"},
		"anonymous":     {`{}`, 422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled"},
		"phone":         {`{"phone":"123","password":"peonies"}`, 400, "phone_provider_disabled", "Phone signups"},
		"not JSON":      {`<`, 400, "bad_json", "Could not parse request body as JSON"},
		"no body":       {``, 400, "bad_json", "Could not parse request body as JSON"},
		"a huge body":   {`{"email":"` + strings.Repeat("x", maxBody) + `"}`, 400, "bad_json", "Could not parse request body as JSON"},
		"another shape": {`{"email":7}`, 400, "bad_json", "Could not parse request body as JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			c.refused("POST", "/signup", "", r.body, r.status, r.code, r.text)
		})
	}
	weak := c.call("POST", "/signup", "", `{"email":"a@example.com","password":"x"}`, 422)
	if reasons, _ := json.Marshal(weak["weak_password"]); string(reasons) != `{"reasons":["length"]}` {
		t.Errorf("weak_password: %s", reasons)
	}
}

func TestSignInAndOut(t *testing.T) {
	c := serve(t, 0)
	c.call("POST", "/signup", "", florist, 200)
	signIn := "/token?grant_type=password"
	c.refused("POST", signIn, "", `{"email":"florist@example.com","password":"tulips"}`, 400, "invalid_credentials", "Invalid login credentials")
	c.refused("POST", signIn, "", `{"email":"nobody@example.com","password":"peonies"}`, 400, "invalid_credentials", "Invalid login credentials")
	c.refused("POST", "/token", "", florist, 400, "invalid_credentials", "unsupported_grant_type")
	phone := c.call("POST", signIn, "", florist, 200)
	laptop := c.call("POST", signIn, "", florist, 200)
	tablet := c.call("POST", signIn, "", florist, 200)
	if user := c.call("GET", "/user", phone.text("access_token"), "", 200); user.text("email") != "florist@example.com" {
		t.Errorf("user: %v", user)
	}

	gone := func(session reply) {
		t.Helper()
		c.refused("GET", "/user", session.text("access_token"), "", 403, "session_not_found", "Session from session_id")
		c.refused("POST", "/token?grant_type=refresh_token", "", `{"refresh_token":"`+session.text("refresh_token")+`"}`, 400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
	}
	c.call("POST", "/logout?scope=others", phone.text("access_token"), "", 204)
	gone(laptop)
	gone(tablet)
	c.call("POST", "/logout?scope=local", phone.text("access_token"), "", 204)
	gone(phone)
	one, two := c.call("POST", signIn, "", florist, 200), c.call("POST", signIn, "", florist, 200)
	c.refused("POST", "/logout?scope=mine", one.text("access_token"), "", 400, "validation_failed", "Unsupported logout scope")
	c.call("POST", "/logout", one.text("access_token"), "", 204)
	gone(one)
	gone(two)
}

func TestBearer(t *testing.T) {
	c := serve(t, 0)
	session := c.call("POST", "/signup", "", florist, 200)
	anon, service := Keys(LocalSecret, c.clock.Now())
	c.refused("GET", "/user", "", "", 401, "no_authorization", "This endpoint requires a valid Bearer token")
	c.refused("GET", "/user", "words", "", 403, "bad_jwt", "invalid JWT")
	c.refused("GET", "/user", anon, "", 403, "bad_jwt", "invalid claim: missing sub claim")
	c.clock.pass(time.Hour)
	c.refused("GET", "/user", session.text("access_token"), "", 403, "bad_jwt", "invalid JWT: unable to parse or verify signature, Token has expired 0 seconds ago")
	session = c.call("POST", "/token?grant_type=password", "", florist, 200)
	c.call("DELETE", "/admin/users/"+session.text("user.id"), service, "", 200)
	c.refused("GET", "/user", session.text("access_token"), "", 403, "user_not_found", "User from sub claim")
	c.refused("GET", "/nothing", "", "", 404, "not_found", "")
}

func TestRefresh(t *testing.T) {
	c := serve(t, 0)
	session := c.call("POST", "/signup", "", florist, 200)
	refresh := func(token string, status int) reply {
		t.Helper()
		return c.call("POST", "/token?grant_type=refresh_token", "", `{"refresh_token":"`+token+`"}`, status)
	}
	first := session.text("refresh_token")
	c.clock.pass(30 * time.Minute)
	second := refresh(first, 200)
	if second.text("refresh_token") == first || second["expires_at"] != 1_800_005_400.0 || second.text("user.id") != session.text("user.id") {
		t.Errorf("refreshed: %v", second)
	}
	// Another tab refreshes at the same moment with the token of before.
	c.clock.pass(reuseWindow)
	if again := refresh(first, 200); again.text("refresh_token") != second.text("refresh_token") {
		t.Errorf("the second tab got another refresh token")
	}
	third := refresh(second.text("refresh_token"), 200)
	refresh(first, 400) // forgotten
	// Somebody else shows up with a token that was replaced long ago: the session ends for both.
	c.clock.pass(reuseWindow + time.Second)
	if stolen := refresh(second.text("refresh_token"), 400); stolen["error_code"] != "refresh_token_already_used" {
		t.Errorf("reused: %v", stolen)
	}
	if lost := refresh(third.text("refresh_token"), 400); lost["error_code"] != "refresh_token_not_found" {
		t.Errorf("after the reuse: %v", lost)
	}
	refresh("", 400)
}

func TestUpdateUser(t *testing.T) {
	c := serve(t, 0)
	token := c.call("POST", "/signup", "", florist, 200).text("access_token")
	user := c.call("PUT", "/user", token, `{"data":{"van":"WX72","trade":null},"password":"dahlias","email":"flo@example.com"}`, 200)
	if user.text("user_metadata.van") != "WX72" || user.text("user_metadata.trade") != "" || user.text("email") != "flo@example.com" {
		t.Errorf("user: %v", user)
	}
	c.refused("POST", "/token?grant_type=password", "", florist, 400, "invalid_credentials", "")
	c.call("POST", "/token?grant_type=password", "", `{"email":"flo@example.com","password":"dahlias"}`, 200)
	c.call("POST", "/signup", "", florist, 200) // the address is free again
	c.refused("PUT", "/user", token, `{"email":"florist@example.com"}`, 422, "email_exists", "")
	// Nobody gives themselves rights.
	user = c.call("PUT", "/user", token, `{"app_metadata":{"vendor_type":"planner"},"role":"service_role","data":{}}`, 200)
	if user.text("role") != "authenticated" || user.text("app_metadata.vendor_type") != "" {
		t.Errorf("user: %v", user)
	}
}

func TestPublicEndpoints(t *testing.T) {
	c := serve(t, 0)
	if c.call("GET", "/health", "", "", 200).text("name") != "GoTrue" {
		t.Error("health")
	}
	if c.call("GET", "/settings", "", "", 200)["mailer_autoconfirm"] != true {
		t.Error("settings")
	}
	if keys, ok := c.call("GET", "/.well-known/jwks.json", "", "", 200)["keys"].([]any); !ok || len(keys) != 0 {
		t.Error("the key set must be empty: the secret is not published")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, c.url+Prefix+"/signup", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Access-Control-Request-Headers", "apikey,x-supabase-api-version")
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Access-Control-Allow-Headers") != "apikey,x-supabase-api-version" {
		t.Errorf("preflight: %s %v", resp.Status, resp.Header)
	}
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no secret": {}, "short secret": {Secret: "hunter2"},
		"no time": {Secret: LocalSecret, TokenTTL: -1}, "no accounts": {Secret: LocalSecret, MaxAccounts: -1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
