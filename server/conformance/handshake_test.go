package conformance

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/wedsync/wedsync/server"
)

// §1: the endpoints and their query.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	get := func(path, want string) func(*scene) {
		return func(s *scene) {
			if a := s.request(http.MethodGet, path, ""); a.status != http.StatusOK || strings.TrimSpace(a.body) != want {
				s.t.Errorf("%d %q, want 200 %q", a.status, a.body, want)
			}
		}
	}
	// opens connects with a path and headers, and shows that the socket speaks the version.
	opens := func(vsn, path string, headers ...string) func(*scene) {
		return func(s *scene) {
			header := http.Header{}
			for i := 0; i < len(headers); i += 2 {
				header.Set(headers[i], s.everywhere(headers[i+1]))
			}
			c := s.dialWith("a", vsn, "ws://"+s.node.Addr()+s.everywhere(path), header)
			s.nothing(c)
		}
	}
	table(t, plain(t), []behaviour{
		{name: "§1 /healthcheck is ok", vsn: "2", run: get("/healthcheck", "ok")},
		{name: "§1 /api/ping answers Success", vsn: "2", run: get("/api/ping", `{"message":"Success"}`)},
		{name: "§1 the socket of a direct server", vsn: "2", run: opens("2", "/socket/websocket?apikey=$anon&vsn=2.0.0")},
		{name: "§1 the socket behind a hosted gateway", vsn: "2", run: opens("2", "/realtime/v1/websocket?apikey=$anon&vsn=2.0.0")},
		{name: "§1 no subprotocol and no compression is negotiated", vsn: "2", run: func(s *scene) {
			dialer := websocket.Dialer{EnableCompression: true, Subprotocols: []string{"phoenix", "realtime"}}
			ws, response, err := dialer.Dial("ws://"+s.node.Addr()+s.everywhere("/socket/websocket?apikey=$anon&vsn=2.0.0"), nil)
			if err != nil {
				s.t.Fatal(err)
			}
			defer ws.Close()
			if got := ws.Subprotocol() + response.Header.Get("Sec-WebSocket-Extensions"); got != "" {
				s.t.Errorf("negotiated %q", got)
			}
		}},
		{name: "§1 any origin may connect", vsn: "2", run: opens("2", "/socket/websocket?apikey=$anon&vsn=2.0.0", "Origin", "https://elsewhere.example")},
		{name: "§1.1 without vsn it is 1.0.0", vsn: "1", run: opens("1", "/socket/websocket?apikey=$anon")},
		{name: "§1.1 vsn 1.0.3 is version 1", vsn: "1", run: opens("1", "/socket/websocket?apikey=$anon&vsn=1.0.3")},
		{name: "§1.1 vsn 2.0.7 is version 2", vsn: "2", run: opens("2", "/socket/websocket?apikey=$anon&vsn=2.0.7")},
		{name: "§1.1 log_level and unknown parameters are ignored", vsn: "2", run: opens("2", "/socket/websocket?apikey=$anon&vsn=2.0.0&log_level=shout&eventsPerSecond=10&x=%20")},
		{name: "§1.1 the header x-api-key wins over the query", vsn: "2", run: opens("2", "/socket/websocket?apikey=words&vsn=2.0.0", "X-Api-Key", "$anon")},
		{name: "§1.2 the token is percent-decoded and stripped of white space", vsn: "2", run: opens("2", "/socket/websocket?apikey=%20$anon%0A%2520&vsn=2.0.0")},
	})
}

// §1.2: refused handshakes are HTTP answers, and never an upgrade.
func TestRefusedHandshakes(t *testing.T) {
	t.Parallel()
	n := plain(t)
	exp := time.Now().Add(time.Hour).Unix()
	good := sign(t, of("anon"))
	// refused tries to connect.
	refused := func(query url.Values, header http.Header, status int, text string) func(*scene) {
		return func(s *scene) {
			a := s.handshake(query, header)
			if text == "" {
				if a.status != status || a.body != "" {
					s.t.Errorf("%d %q, want %d and no body", a.status, a.body, status)
				}
				return
			}
			want := show(map[string]string{"error": text})
			s.is(a, status, want)
			if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); kind != jsonType {
				s.t.Errorf("content type %q", kind)
			}
		}
	}
	token := func(token string) url.Values { return url.Values{"vsn": {"2.0.0"}, "apikey": {token}} }
	const malformed, fields, signature = "The token provided is not a valid JWT", "Fields `role` and `exp` are required in JWT", "Failed to validate JWT signature"
	table(t, n, []behaviour{
		{name: "§1.1 vsn 3.0.0 is refused with 403 and an empty body", vsn: "2", run: refused(url.Values{"vsn": {"3.0.0"}, "apikey": {good}}, nil, 403, "")},
		{name: "§1.1 vsn 2.1.0 is refused with 403 and an empty body", vsn: "2", run: refused(url.Values{"vsn": {"2.1.0"}, "apikey": {good}}, nil, 403, "")},
		{name: "§1.1 a vsn that cannot be read is refused with 403 and an empty body", vsn: "2", run: refused(url.Values{"vsn": {"two"}, "apikey": {good}}, nil, 403, "")},
		{name: "§1.2 no token: API key is missing", vsn: "2", run: refused(url.Values{"vsn": {"2.0.0"}}, nil, 401, "API key is missing")},
		{name: "§1.2 an expired token: Token has expired", vsn: "2", run: refused(token(sign(t, of("anon", "exp", exp-7200))), nil, 401, "Token has expired")},
		{name: "§1.2 a token without role", vsn: "2", run: refused(token(sign(t, jwt.MapClaims{"exp": exp})), nil, 401, fields)},
		{name: "§1.2 a token without exp", vsn: "2", run: refused(token(sign(t, jwt.MapClaims{"role": "anon"})), nil, 401, fields)},
		{name: "§1.2 words that are no token", vsn: "2", run: refused(token("words"), nil, 401, malformed)},
		{name: "§1.2 a token with three parts that are no token", vsn: "2", run: refused(token("a.b.c"), nil, 401, malformed)},
		{name: "§1.2 a token of another secret", vsn: "2", run: refused(token(signWith(t, methodHS256, []byte("another secret"), "", of("anon"))), nil, 401, signature)},
		{name: "§1.2 a changed token", vsn: "2", run: refused(token(good[:strings.LastIndexByte(good, '.')+1]+"AAAA"), nil, 401, signature)},
		{name: "§1.2 a bad x-api-key does not fall back to the query", vsn: "2", run: refused(token(good), http.Header{"X-Api-Key": {"words"}}, 401, malformed)},
		{name: "§1.2 an algorithm without a key: no signer", vsn: "2", run: func(s *scene) {
			key := newKeys(s.t)
			refused(token(signWith(s.t, jwt.SigningMethodES256, key.ec, "", of("anon"))), nil, 401,
				"Failed to generate JWT signer, check your JWT secret or JWKS configuration")(s)
		}},
		{name: "§1.2 a token of algorithm none is never taken", vsn: "2", run: func(s *scene) {
			a := s.handshake(token(signWith(s.t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", of("service_role"))), nil)
			if a.status != http.StatusUnauthorized {
				s.t.Errorf("status %d, want 401", a.status)
			}
		}},
	})
}

func TestRefusedHandshakeIsDelayed(t *testing.T) {
	t.Parallel()
	const delay = 300 * time.Millisecond
	table(t, start(t, func(c *server.Config) { c.ErrorBackoff = delay }), []behaviour{
		{name: "§1.2 a refusal is sent after a deliberate delay", vsn: "2", run: func(s *scene) {
			begin := time.Now()
			s.is(s.handshake(url.Values{"vsn": {"2.0.0"}}, nil), http.StatusUnauthorized, `{"error":"API key is missing"}`)
			if took := time.Since(begin); took < delay {
				s.t.Errorf("refused after %s, want %s at least", took, delay)
			}
		}},
	})
}

// handshake tries to connect, and fails the test if that succeeds.
func (s *scene) handshake(query url.Values, header http.Header) answer {
	s.t.Helper()
	ws, response, err := websocket.DefaultDialer.Dial("ws://"+s.node.Addr()+"/socket/websocket?"+query.Encode(), header)
	if err == nil {
		ws.Close()
		s.t.Fatal("the handshake was accepted")
	}
	if response == nil {
		s.t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.log("%s %s", response.Status, body)
	return answer{response.StatusCode, response.Header, string(body)}
}
