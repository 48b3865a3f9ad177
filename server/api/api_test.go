package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/room"
	"github.com/wedsync/wedsync/server/socket"
	"github.com/wedsync/wedsync/server/telemetry"
	"github.com/wedsync/wedsync/server/urgent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a-secret-of-at-least-thirty-two-bytes"

// publisher notes what is published, or fails.
type publisher struct {
	said []string
	err  error
}

func (p *publisher) Publish(_ context.Context, ev *backbone.Event) (urgent.Held, error) {
	p.said = append(p.said, "publish "+ev.Lane.String()+" "+ev.Room+" "+ev.Name+" "+ev.ID+" "+string(ev.Payload))
	return urgent.Held{}, p.err
}

func (p *publisher) Cast(_ context.Context, ev *backbone.Event) error {
	p.said = append(p.said, "cast "+ev.Lane.String()+" "+ev.Room+" "+ev.Name+" "+ev.ID+" "+string(ev.Payload))
	return p.err
}

// service is the handlers on a mux, with everything behind them replaced.
type service struct {
	http.Handler
	publisher publisher
	stored    []backbone.Stored
	logErr    error
	ready     error
	metrics   *telemetry.Metrics
}

func newService(t *testing.T) *service {
	t.Helper()
	return newLimited(t, limit.Limits{PayloadBytes: 100})
}

func newLimited(t *testing.T, l limit.Limits) *service {
	t.Helper()
	reg := prometheus.NewRegistry()
	m, err := telemetry.New(reg, "n", "r")
	if err != nil {
		t.Fatal(err)
	}
	v, err := auth.New(t.Context(), auth.Config{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	limits, err := limit.NewNode(l, reg)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{metrics: m}
	mux := http.NewServeMux()
	err = Register(mux, Config{
		Publisher: &s.publisher, Verifier: v, Policy: auth.DefaultPolicy(), Limits: limits,
		Place: room.Tree{"wedding"}.Place, Disconnect: func(string) int { return 3 },
		Health: Health{Status: "ok", Node: "n", Region: "r", Flaw: "drop-urgent:1000"},
		Ready:  func() error { return s.ready },
		Log: func(_ context.Context, _ protocol.Lane, each func(backbone.Stored) error) error {
			for _, stored := range s.stored {
				if err := each(stored); err != nil {
					return err
				}
			}
			return s.logErr
		},
		Gatherer: reg, Metrics: m, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Handler = mux
	return s
}

func token(t *testing.T, role string) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"role": role, "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *service) do(t *testing.T, method, path, role, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+token(t, role))
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestBatch(t *testing.T) {
	long := `"` + strings.Repeat("x", 100) + `"`
	for name, c := range map[string]struct {
		role, body string
		status     int
		answer     string
		said       []string
	}{
		"no token":        {"", `{}`, 401, `{"message":"Unauthorized"}`, nil},
		"no JSON":         {"anon", `hello`, 422, `{"errors":{"messages":["is invalid"]}}`, nil},
		"no messages":     {"anon", `{}`, 422, `{"errors":{"messages":["can't be blank"]}}`, nil},
		"not a list":      {"anon", `{"messages":5}`, 422, `{"errors":{"messages":["is invalid"]}}`, nil},
		"too much":        {"anon", `{"messages":"` + strings.Repeat("x", bodyLimit) + `"}`, 422, `{"errors":{"messages":["Payload size exceeds tenant limit"]}}`, nil},
		"nothing in it":   {"anon", `{"messages":[{}]}`, 422, `{"errors":{"messages":[{"event":["can't be blank"],"payload":["can't be blank"],"topic":["can't be blank"]}]}}`, nil},
		"not an object":   {"anon", `{"messages":[{"topic":"r","event":"x","payload":1}]}`, 422, `{"errors":{"messages":[{"payload":["is invalid"]}]}}`, nil},
		"wrong type":      {"anon", `{"messages":[{"topic":7,"event":"x","payload":{}}]}`, 422, `{"errors":{"messages":[{"topic":["is invalid"]}]}}`, nil},
		"bad id":          {"anon", `{"messages":[{"topic":"r","event":"x","payload":{},"id":"a b"}]}`, 422, `{"errors":{"messages":[{"id":["is invalid"]}]}}`, nil},
		"too large":       {"anon", `{"messages":[{"topic":"r","event":"x","payload":{"a":` + long + `}}]}`, 422, `{"errors":{"messages":[{"payload":["Payload size exceeds tenant limit"]}]}}`, nil},
		"second is wrong": {"anon", `{"messages":[{"topic":"r","event":"x","payload":{}},{"topic":"r","event":"x"}]}`, 422, `{"errors":{"messages":[{},{"payload":["can't be blank"]}]}}`, nil},
		"two": {"authenticated", `{"messages":[{"topic":"r","event":"x","payload":{"a":1},"private":true,"id":"m1"},{"topic":"q","event":"y","payload":{}}]}`, 202, "", []string{
			`cast normal private:r x m1 {"event":"x","payload":{"a":1},"type":"broadcast"}`,
			`cast normal public:q y  {"event":"y","payload":{},"type":"broadcast"}`}},
		"private is skipped": {"anon", `{"messages":[{"topic":"r","event":"x","payload":{},"private":true},{"topic":"q","event":"y","payload":{}}]}`, 202, "", []string{
			`cast normal public:q y  {"event":"y","payload":{},"type":"broadcast"}`}},
		"bulk": {"anon", `{"messages":[{"topic":"q","event":"photo","payload":{},"id":"b1","meta":{"lane":"bulk","mine":1}},{"topic":"q","event":"x","payload":{},"meta":{"id":"n1"}},{"topic":"q","event":"y","payload":{},"meta":null}]}`, 202, "", []string{
			`cast bulk public:q photo b1 {"event":"photo","payload":{},"type":"broadcast"}`,
			`cast normal public:q x n1 {"event":"x","payload":{},"type":"broadcast"}`,
			`cast normal public:q y  {"event":"y","payload":{},"type":"broadcast"}`}},
		"urgent by metadata": {"anon", `{"messages":[{"topic":"q","event":"x","payload":{},"meta":{"id":"u1","lane":"urgent"}}]}`, 202, "", []string{
			`publish urgent public:q x u1 {"event":"x","payload":{},"type":"broadcast"}`}},
		"unknown lane":       {"anon", `{"messages":[{"topic":"q","event":"x","payload":{},"meta":{"lane":"fast"}}]}`, 422, `{"errors":{"messages":[{"meta":["is invalid"]}]}}`, nil},
		"metadata of a kind": {"anon", `{"messages":[{"topic":"q","event":"x","payload":{},"meta":7}]}`, 422, `{"errors":{"messages":[{"meta":["is invalid"]}]}}`, nil},
		"urgent is held": {"anon", `{"messages":[{"topic":"q","event":"urgent","payload":{},"id":"u1"}]}`, 202, "", []string{
			`publish urgent public:q urgent u1 {"event":"urgent","payload":{},"type":"broadcast"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/api/broadcast", "/realtime/v1/api/broadcast?apikey=x&vsn=2.0.0"} {
				s := newService(t)
				w := s.do(t, http.MethodPost, path, c.role, "application/json", c.body)
				if got := strings.TrimSpace(w.Body.String()); w.Code != c.status || got != c.answer {
					t.Errorf("%s: %d %s, want %d %s", path, w.Code, got, c.status, c.answer)
				}
				if diff := cmp.Diff(c.said, s.publisher.said); diff != "" {
					t.Errorf("%s: published (-want +got):\n%s", path, diff)
				}
				if w.Header().Get("Access-Control-Allow-Origin") != "*" {
					t.Error("a page of another origin may not read this")
				}
			}
		})
	}
}

// Bulk gets an id if it has none, and may not be as large as other messages.
func TestBulkInABatch(t *testing.T) {
	s := newLimited(t, limit.Limits{})
	entry := func(id, payload string) string {
		return `{"topic":"q","event":"photo","payload":{"a":"` + payload + `"},"meta":{"lane":"bulk"}` + id + `}`
	}
	w := s.do(t, http.MethodPost, "/api/broadcast", "anon", "", `{"messages":[`+entry("", "")+`,`+entry("", "")+`]}`)
	if w.Code != 202 || len(s.publisher.said) != 2 || s.publisher.said[0] == s.publisher.said[1] {
		t.Errorf("%d, published %q", w.Code, s.publisher.said)
	}
	if got := testutil.ToFloat64(s.metrics.MessagesPublished.WithLabelValues("bulk", "ok")); got != 2 {
		t.Errorf("%v bulk messages counted", got)
	}
	w = s.do(t, http.MethodPost, "/api/broadcast", "anon", "", `{"messages":[`+entry("", strings.Repeat("x", socket.MaxBulk))+`]}`)
	if w.Code != 422 || !strings.Contains(w.Body.String(), `"payload":["is too large for the lane bulk: put the data into object storage`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What is too much for the limit is bulk before anything else.
func TestBulkIsShedAtTheDoor(t *testing.T) {
	s := newLimited(t, limit.Limits{EventsPerSecond: 2})
	const bulk, normal = `{"topic":"q","event":"photo","payload":{},"id":"b1","meta":{"lane":"bulk"}}`, `{"topic":"q","event":"x","payload":{},"id":"n1"}`
	for i, c := range []struct {
		messages string
		status   int
		said     []string
	}{
		{bulk + `,` + normal, 202, []string{"bulk", "normal"}},
		{bulk + `,` + bulk + `,` + normal + `,` + normal, 202, []string{"normal", "normal"}},
		{bulk + `,` + bulk + `,` + bulk, 429, nil},
		{normal + `,` + normal + `,` + normal + `,` + bulk, 429, nil},
	} {
		s.publisher.said = nil
		w := s.do(t, http.MethodPost, "/api/broadcast", "anon", "", `{"messages":[`+c.messages+`]}`)
		var lanes []string
		for _, said := range s.publisher.said {
			lanes = append(lanes, strings.Fields(said)[1])
		}
		if diff := cmp.Diff(c.said, lanes); w.Code != c.status || diff != "" {
			t.Errorf("request %d: %d %s, published (-want +got):\n%s", i, w.Code, w.Body, diff)
		}
	}
	if got := testutil.ToFloat64(s.metrics.MessagesDropped.WithLabelValues("rate")); got != 2+3+1+3 {
		t.Errorf("%v messages counted as too many", got)
	}
}

func TestSingle(t *testing.T) {
	for name, c := range map[string]struct {
		role, path, kind, body string
		status                 int
		answer                 string
		said                   []string
	}{
		"no token":       {"", "r/events/x", "", `{}`, 401, `{"message":"Unauthorized"}`, nil},
		"media type":     {"anon", "r/events/x", "text/plain", `{}`, 415, `{"error":"Unsupported Media Type. Use application/json or application/octet-stream"}`, nil},
		"no JSON":        {"anon", "r/events/x", "", `{`, 422, `{"errors":{"payload":["is invalid"]}}`, nil},
		"empty":          {"anon", "r/events/x", "", ``, 422, `{"errors":{"payload":["can't be blank"]}}`, nil},
		"too large":      {"anon", "r/events/x", "application/octet-stream", strings.Repeat("x", 101), 422, `{"errors":{"payload":["Payload size exceeds tenant limit"]}}`, nil},
		"private denied": {"anon", "r/events/x?private=true", "", `{}`, 403, `{"message":"Unauthorized"}`, nil},
		"private":        {"authenticated", "r/events/x?private=true", "application/json; charset=utf-8", `[1]`, 202, "", []string{`cast normal private:r x  [1]`}},
		"escaped names":  {"anon", "wed%3A42%2Fa/events/a%20b?apikey=x&vsn=2.0.0", "", `1`, 202, "", []string{`cast normal public:wed:42/a a b  1`}},
		"bytes":          {"anon", "r/events/photo", "application/octet-stream", "\xff\xd8", 202, "", []string{"cast normal public:r photo  \xff\xd8"}},
		"no bytes":       {"anon", "r/events/photo", "application/octet-stream", "", 202, "", []string{"cast normal public:r photo  "}},
		"urgent":         {"anon", "r/events/urgent", "", `"storm"`, 202, "", []string{`publish urgent public:r urgent  "storm"`}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, prefix := range []string{"", "/realtime/v1"} {
				s := newService(t)
				w := s.do(t, http.MethodPost, prefix+"/api/broadcast/"+c.path, c.role, c.kind, c.body)
				if got := strings.TrimSpace(w.Body.String()); w.Code != c.status || got != c.answer {
					t.Errorf("%d %s, want %d %s", w.Code, got, c.status, c.answer)
				}
				if diff := cmp.Diff(c.said, s.publisher.said); diff != "" {
					t.Errorf("published (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestNotHeldIsNotAccepted(t *testing.T) {
	s := newService(t)
	s.publisher.err = urgent.ErrNotHeld
	for _, event := range []string{"urgent", "x"} {
		w := s.do(t, http.MethodPost, "/api/broadcast/r/events/"+event, "anon", "", `1`)
		if w.Code != 503 || !strings.Contains(w.Body.String(), "please") {
			t.Errorf("%s: %d %s", event, w.Code, w.Body)
		}
	}
	if got := testutil.ToFloat64(s.metrics.MessagesPublished.WithLabelValues("urgent", "unknown")); got != 1 {
		t.Errorf("%v unknown outcomes counted", got)
	}
	if got := testutil.ToFloat64(s.metrics.RESTRequests.WithLabelValues("single", "503")); got != 2 {
		t.Errorf("%v answers counted", got)
	}
}

func TestAPIKeyHeader(t *testing.T) {
	s := newService(t)
	r := httptest.NewRequest(http.MethodPost, "/api/broadcast/r/events/x", strings.NewReader(`1`))
	r.Header.Set("apikey", token(t, "anon"))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 202 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPreflight(t *testing.T) {
	s := newService(t)
	w := s.do(t, http.MethodOptions, "/api/broadcast", "", "", "")
	if w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "authorization") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if w := s.do(t, http.MethodGet, "/api/broadcast", "", "", ""); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestProbes(t *testing.T) {
	s := newService(t)
	if w := s.do(t, http.MethodGet, "/healthz", "", "", ""); strings.TrimSpace(w.Body.String()) != `{"status":"ok","node":"n","region":"r","flaw":"drop-urgent:1000"}` {
		t.Errorf("/healthz: %s", w.Body)
	}
	if w := s.do(t, http.MethodGet, "/readyz", "", "", ""); w.Code != 200 {
		t.Errorf("/readyz: %d", w.Code)
	}
	s.ready = errors.New("no other region answers")
	w := s.do(t, http.MethodGet, "/readyz", "", "", "")
	if want := `{"reason":"no other region answers","status":"not ready"}`; w.Code != 503 || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("/readyz: %d %s", w.Code, w.Body)
	}
}

// A log that cannot be read to its end is cut off: an audit must not take a part for the whole.
func TestLogIsWholeOrCutOff(t *testing.T) {
	s := newService(t)
	s.stored = []backbone.Stored{{ID: "m1", Room: "private:r", Origin: "n", HLC: 1 << 60, Seq: 3, StoredAt: time.Unix(0, 42)}}
	server := httptest.NewServer(s)
	defer server.Close()
	read := func() (string, error) {
		r, err := http.NewRequest(http.MethodGet, server.URL+"/admin/log?lane=urgent", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token(t, "service_role"))
		response, err := server.Client().Do(r)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	const want = `{"id":"m1","room":"private:r","origin":"n","hlc":"1152921504606846976","seq":3,"stored_wall_ns":42}` + "\n"
	if got, err := read(); err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	s.logErr = errors.New("the disk is gone")
	if got, err := read(); err == nil {
		t.Errorf("read %q as if it were whole", got)
	}
}

func TestConfigSaysAllThatIsMissing(t *testing.T) {
	err := Register(http.NewServeMux(), Config{})
	if err == nil || !strings.Contains(err.Error(), "Publisher must be set") || !strings.Contains(err.Error(), "Gatherer must be set") {
		t.Errorf("%v", err)
	}
}
