// Package api is what a node answers over plain HTTP: broadcasts without a socket, the probes that
// orchestrators ask, metrics, and the log for an audit.
//
// The REST paths exist twice, as the server itself has them (/api/broadcast) and as the hosted
// gateway shows them (/realtime/v1/api/broadcast). Clients append the query string of their socket
// to them, so unknown parameters are ignored. Any origin may call.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/limit"
	"github.com/wedsync/wedsync/server/telemetry"
	"github.com/wedsync/wedsync/server/urgent"
)

// Publisher takes broadcasts; an *urgent.Lane.
type Publisher interface {
	Publish(ctx context.Context, ev *backbone.Event) (urgent.Held, error)
	Cast(ctx context.Context, ev *backbone.Event) error
}

// Health is the answer of /healthz.
type Health struct {
	Status string `json:"status"`
	Node   string `json:"node"`
	Region string `json:"region"`
	Flaw   string `json:"flaw,omitempty"` // misbehaving on purpose
}

// Config of the handlers. All fields must be set.
type Config struct {
	Publisher Publisher
	Verifier  *auth.Verifier
	Policy    auth.Policy
	// Place finds the room of a sub-topic, and where in it the topic is (room.Tree).
	Place      func(private bool, topic string) (room, path string)
	Limits     *limit.Node
	Disconnect func(why string) int // sends every client away, to come back; returns how many
	Health     Health
	Ready      func() error // nil once the node should get traffic
	Log        func(ctx context.Context, lane protocol.Lane, each func(backbone.Stored) error) error
	Gatherer   prometheus.Gatherer
	Metrics    *telemetry.Metrics
	Logger     *slog.Logger
}

// Validate says everything that is missing.
func (c *Config) Validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Publisher", c.Publisher != nil}, {"Verifier", c.Verifier != nil}, {"Policy", c.Policy != nil},
		{"Place", c.Place != nil}, {"Limits", c.Limits != nil}, {"Disconnect", c.Disconnect != nil}, {"Ready", c.Ready != nil}, {"Log", c.Log != nil},
		{"Gatherer", c.Gatherer != nil}, {"Metrics", c.Metrics != nil}, {"Logger", c.Logger != nil},
	} {
		if !f.set {
			errs = append(errs, errors.New("api: "+f.name+" must be set"))
		}
	}
	return errors.Join(errs...)
}

// gateway is the prefix under which the hosted service shows its paths.
const gateway = "/realtime/v1"

// Register adds the handlers to a mux.
func Register(mux *http.ServeMux, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	a := &api{Config: cfg}
	for _, prefix := range []string{"", gateway} {
		mux.HandleFunc(prefix+"/api/broadcast", a.counted("batch", a.cors(a.batch)))
		mux.HandleFunc(prefix+"/api/broadcast/{topic}/events/{event}", a.counted("single", a.cors(a.single)))
		mux.HandleFunc("GET "+prefix+"/api/ping", a.ping)
	}
	mux.HandleFunc("GET /healthz", a.health)
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("GET /healthcheck", a.healthcheck)
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /admin/log", a.counted("admin_log", a.log))
	mux.HandleFunc("POST /admin/disconnect", a.counted("admin_disconnect", a.disconnect))
	return nil
}

type api struct{ Config }

func (a *api) ping(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"message": "Success"})
}

func (a *api) healthcheck(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte("ok")) // the asker has gone if this fails
}

func (a *api) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Health)
}

// ready answers 503 with the reason while the node should not get new clients.
func (a *api) ready(w http.ResponseWriter, _ *http.Request) {
	if err := a.Ready(); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// bearer returns the claims of the token of a request: Authorization, else the header apikey.
func (a *api) bearer(r *http.Request) (*auth.Claims, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		token = r.Header.Get("apikey")
	}
	return a.Verifier.Verify(auth.Clean(token))
}

// cors lets pages of any origin call, and answers their preflight.
func (a *api) cors(post http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch r.Method {
		case http.MethodPost:
			post(w, r)
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
			h.Set("Access-Control-Allow-Headers", "authorization, apikey, content-type, x-client-info")
			h.Set("Access-Control-Max-Age", "86400")
			w.WriteHeader(http.StatusNoContent)
		default:
			h.Set("Allow", "POST, OPTIONS")
			writeMessage(w, http.StatusMethodNotAllowed, "Use POST")
		}
	}
}

// counted counts the answers of an endpoint by status.
func (a *api) counted(endpoint string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next(sw, r)
		a.Metrics.RESTRequests.WithLabelValues(endpoint, strconv.Itoa(sw.status)).Inc()
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the asker has gone if this fails
}

func writeMessage(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"message": text})
}
