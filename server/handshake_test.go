package server

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

func TestBothPathsOpenASocket(t *testing.T) {
	n := start(t)
	good := url.QueryEscape(token(t, "anon"))
	for _, path := range []string{
		"/socket/websocket?vsn=2.0.0&apikey=" + good,
		"/realtime/v1/websocket?apikey=" + good + "&vsn=2.0.0&log_level=info&eventsPerSecond=10",
		"/socket/websocket?vsn=2.0.7&apikey=%20" + good + "%0A",
	} {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+n.Addr()+path, http.Header{"Origin": {"https://elsewhere.example"}})
		if err != nil {
			t.Errorf("%.30s: %v", path, err)
			continue
		}
		c := &client{t: t, Conn: ws}
		c.silence()
		ws.Close()
	}
}

func TestHeaderWinsOverQuery(t *testing.T) {
	n := start(t)
	dial := func(query, header string) error {
		ws, _, err := websocket.DefaultDialer.Dial("ws://"+n.Addr()+"/socket/websocket?apikey="+query, http.Header{"X-Api-Key": {header}})
		if err == nil {
			ws.Close()
		}
		return err
	}
	if err := dial("words", token(t, "anon")); err != nil {
		t.Errorf("a good header and a bad query: %v", err)
	}
	if err := dial(url.QueryEscape(token(t, "anon")), "words"); err == nil {
		t.Error("a bad header and a good query were accepted")
	}
}

func TestRefusedHandshakes(t *testing.T) {
	n := start(t)
	exp := time.Now().Add(time.Hour).Unix()
	other, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"role": "anon", "exp": exp}).SignedString([]byte("another secret"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		query  url.Values
		status int
		body   string
	}{
		"vsn 3":      {url.Values{"vsn": {"3.0.0"}, "apikey": {token(t, "anon")}}, 403, ""},
		"vsn words":  {url.Values{"vsn": {"two"}}, 403, ""},
		"no token":   {url.Values{"vsn": {"2.0.0"}}, 401, `{"error":"API key is missing"}`},
		"words":      {url.Values{"apikey": {"words"}}, 401, `{"error":"The token provided is not a valid JWT"}`},
		"signature":  {url.Values{"apikey": {other}}, 401, `{"error":"Failed to validate JWT signature"}`},
		"no role":    {url.Values{"apikey": {sign(t, jwt.MapClaims{"exp": exp})}}, 401, "{\"error\":\"Fields `role` and `exp` are required in JWT\"}"},
		"no exp":     {url.Values{"apikey": {sign(t, jwt.MapClaims{"role": "anon"})}}, 401, "{\"error\":\"Fields `role` and `exp` are required in JWT\"}"},
		"expired":    {url.Values{"apikey": {sign(t, jwt.MapClaims{"role": "anon", "exp": exp - 7200})}}, 401, `{"error":"Token has expired"}`},
		"opaque key": {url.Values{"apikey": {"sb_publishable_abc"}}, 401, `{"error":"The token provided is not a valid JWT"}`},
	} {
		t.Run(name, func(t *testing.T) {
			_, response, err := websocket.DefaultDialer.Dial("ws://"+n.Addr()+"/socket/websocket?"+c.query.Encode(), nil)
			if err == nil {
				t.Fatal("accepted")
			}
			body, _ := io.ReadAll(response.Body)
			if got := strings.TrimSpace(string(body)); response.StatusCode != c.status || got != c.body {
				t.Errorf("%d %s, want %d %s", response.StatusCode, got, c.status, c.body)
			}
			if kind := response.Header.Get("Content-Type"); c.body != "" && kind != "application/json" {
				t.Errorf("content type %q", kind)
			}
		})
	}
}

func TestRefusalIsDelayed(t *testing.T) {
	const delay = 50 * time.Millisecond
	n := start(t, func(c *Config) { c.ErrorBackoff = delay })
	begin := time.Now()
	if _, _, err := websocket.DefaultDialer.Dial("ws://"+n.Addr()+"/socket/websocket", nil); err == nil {
		t.Fatal("accepted")
	}
	if took := time.Since(begin); took < delay {
		t.Errorf("refused after %s, want at least %s", took, delay)
	}
}

func TestPlainRequestToTheSocketPath(t *testing.T) {
	n := start(t)
	response, err := http.Get("http://" + n.Addr() + "/socket/websocket?apikey=" + token(t, "anon"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", response.StatusCode)
	}
}

func TestDevelopmentWithoutSecretLetsEverybodyIn(t *testing.T) {
	n := start(t, func(c *Config) { c.Dev, c.JWTSecret = true, "" })
	c := n.dialWith(t, url.Values{"vsn": {"2.0.0"}})
	c.join("2.0.0", "realtime:wed:42", `{"private":true}`)
	c = n.dialWith(t, url.Values{"vsn": {"2.0.0"}, "apikey": {"anything"}})
	c.join("2.0.0", "realtime:wed:42", `{"private":true}`)
	if !strings.Contains(n.log.String(), "DEVELOPMENT MODE WITHOUT A SECRET") {
		t.Error("the log does not say so")
	}
}
