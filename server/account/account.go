// Package account keeps the accounts of a server that is run for tests (wedsync-server
// --supabase-local): sign-up, sign-in with a password, refresh, sign-out, and the few endpoints by
// which a test suite manages users with the service_role key. The answers have the shapes of Supabase
// Auth (GoTrue), so that stock @supabase/supabase-js works against it.
//
// It is not for production and does not want to be: accounts live in memory and end with the process,
// every e-mail address is taken as confirmed, no mail is sent, nothing is limited but the number of
// accounts, and any web page may call it. The server that uses it listens on the loopback only.
package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/wedsync/wedsync/server/auth"
)

// Prefix of all paths.
const Prefix = "/auth/v1"

// Config of the accounts.
type Config struct {
	Secret      string           // signs the tokens (HS256); the one that the server verifies them with
	Issuer      string           // iss of the tokens; "": that of a local Supabase
	TokenTTL    time.Duration    // how long an access token is good; 0: 1 hour
	MaxAccounts int              // 0: 10,000
	Now         func() time.Time // nil: time.Now
	Logger      *slog.Logger     // nil: nothing is logged
}

const (
	defaultIssuer   = "http://127.0.0.1:54321/auth/v1"
	defaultTTL      = time.Hour
	defaultAccounts = 10_000
	maxBody         = 1 << 20 // bytes of a request
)

// Validate says everything that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Secret) < auth.MinSecret {
		errs = append(errs, fmt.Errorf("account: the secret has %d bytes: use at least %d", len(c.Secret), auth.MinSecret))
	}
	if c.TokenTTL < 0 || c.MaxAccounts < 0 {
		errs = append(errs, fmt.Errorf("account: TokenTTL (%s) and MaxAccounts (%d) cannot be negative", c.TokenTTL, c.MaxAccounts))
	}
	return errors.Join(errs...)
}

// Handler answers the requests below Prefix. It is safe for concurrent use.
type Handler struct {
	cfg      Config
	verifier *auth.Verifier
	book     *book
	mux      *http.ServeMux
}

// New returns a Handler without accounts.
func New(cfg Config) (*Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Issuer == "" {
		cfg.Issuer = defaultIssuer
	}
	if cfg.TokenTTL == 0 {
		cfg.TokenTTL = defaultTTL
	}
	if cfg.MaxAccounts == 0 {
		cfg.MaxAccounts = defaultAccounts
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	// A verifier without a JWKS does nothing in the background, so that no context has to end it.
	verifier, err := auth.New(context.Background(), auth.Config{Secret: cfg.Secret, Now: cfg.Now})
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	h := &Handler{cfg: cfg, verifier: verifier, book: newBook(cfg.MaxAccounts), mux: http.NewServeMux()}
	for pattern, answer := range map[string]answer{
		"GET /health":                h.health,
		"GET /settings":              h.settings,
		"GET /.well-known/jwks.json": h.keySet,
		"POST /signup":               h.signUp,
		"POST /token":                h.token,
		"GET /user":                  h.user,
		"PUT /user":                  h.updateUser,
		"POST /logout":               h.logOut,
		"POST /admin/users":          h.admin(h.createUser),
		"GET /admin/users":           h.admin(h.listUsers),
		"GET /admin/users/{id}":      h.admin(h.getUser),
		"PUT /admin/users/{id}":      h.admin(h.changeUser),
		"DELETE /admin/users/{id}":   h.admin(h.deleteUser),
	} {
		method, path, _ := strings.Cut(pattern, " ")
		h.mux.HandleFunc(method+" "+Prefix+path, h.answering(answer))
	}
	h.mux.HandleFunc(Prefix+"/", h.answering(func(http.ResponseWriter, *http.Request) (any, error) {
		return nil, &problem{http.StatusNotFound, "not_found", "There is no such endpoint among the local accounts"}
	}))
	return h, nil
}

// Register adds the endpoints to a mux.
func (h *Handler) Register(mux *http.ServeMux) { mux.Handle(Prefix+"/", h) }

// ServeHTTP lets pages of any origin call, and answers their preflight.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Expose-Headers", "X-Total-Count, Link")
	if r.Method == http.MethodOptions {
		header.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
		header.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		header.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// answer handles a request: the body of a 200, nil for 204, or a *problem.
type answer func(w http.ResponseWriter, r *http.Request) (any, error)

// problem is a refusal in the shape that clients of GoTrue know.
type problem struct {
	status int
	code   string
	text   string
}

func (p *problem) Error() string { return p.text }

func (h *Handler) answering(a answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		body, err := a(w, r)
		status := http.StatusOK
		if err != nil {
			var p *problem
			if !errors.As(err, &p) {
				h.cfg.Logger.Error("account", "path", r.URL.Path, "err", err)
				p = &problem{http.StatusInternalServerError, "unexpected_failure", "Unexpected failure, see the server's log"}
			}
			fields := map[string]any{"code": p.status, "error_code": p.code, "msg": p.text}
			if p.code == codeWeak {
				fields["weak_password"] = map[string]any{"reasons": []string{"length"}}
			}
			status, body = p.status, fields
		}
		if body == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the asker has gone if this fails
	}
}

// read decodes the body of a request. Unknown fields are passed over: clients send many.
func read(r *http.Request, into any) error {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		return &problem{http.StatusBadRequest, "bad_json", "Could not parse request body as JSON: " + err.Error()}
	}
	return nil
}

func (h *Handler) health(http.ResponseWriter, *http.Request) (any, error) {
	return map[string]string{"name": "GoTrue", "version": "wedsync", "description": "The local accounts of wedsync-server, for tests"}, nil
}

func (h *Handler) settings(http.ResponseWriter, *http.Request) (any, error) {
	return map[string]any{
		"external":           map[string]bool{"email": true, "phone": false, "anonymous_users": false},
		"disable_signup":     false,
		"mailer_autoconfirm": true,
		"phone_autoconfirm":  false,
		"sms_provider":       "",
		"saml_enabled":       false,
	}, nil
}

// keySet is empty: tokens are signed with the shared secret, which is not published.
func (h *Handler) keySet(http.ResponseWriter, *http.Request) (any, error) {
	return map[string]any{"keys": []any{}}, nil
}
