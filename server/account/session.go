package account

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/crypto/bcrypt"

	"github.com/wedsync/wedsync/server/auth"
)

// The refusals that several endpoints have.
var (
	errNoUser         = &problem{http.StatusNotFound, "user_not_found", "User not found"}
	errEmailTaken     = &problem{http.StatusUnprocessableEntity, "email_exists", "A user with this email address has already been registered"}
	errCredentials    = &problem{http.StatusBadRequest, "invalid_credentials", "Invalid login credentials"}
	errNoRefreshToken = &problem{http.StatusBadRequest, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"}
	errTokenUsed      = &problem{http.StatusBadRequest, "refresh_token_already_used", "Invalid Refresh Token: Already Used"}
)

// granted is the answer to a sign-up, a sign-in and a refresh.
type granted struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	ExpiresAt    int64  `json:"expires_at"` // seconds of the Unix epoch
	RefreshToken string `json:"refresh_token"`
	User         *User  `json:"user"`
}

// credentials is what these endpoints take, each some of it.
type credentials struct {
	Email        string         `json:"email"`
	Phone        string         `json:"phone"`
	Password     string         `json:"password"`
	Data         map[string]any `json:"data"`
	RefreshToken string         `json:"refresh_token"`
}

func (h *Handler) signUp(_ http.ResponseWriter, r *http.Request) (any, error) {
	var c credentials
	if err := read(r, &c); err != nil {
		return nil, err
	}
	switch {
	case c.Phone != "":
		return nil, &problem{http.StatusBadRequest, "phone_provider_disabled", "Phone signups are disabled"}
	case c.Email == "" && c.Password == "":
		return nil, &problem{http.StatusUnprocessableEntity, "anonymous_provider_disabled", "Anonymous sign-ins are disabled"}
	case c.Password == "":
		return nil, &problem{http.StatusBadRequest, "validation_failed", "Signup requires a valid password"}
	}
	email, err := cleanEmail(c.Email)
	if err != nil {
		return nil, err
	}
	hash, err := hashPassword(c.Password)
	if err != nil {
		return nil, err
	}
	u := newUser(email, true, h.cfg.Now())
	u.UserMetadata = merged(map[string]any{"sub": u.ID, "email": email, "email_verified": true, "phone_verified": false}, c.Data)
	taken := &problem{http.StatusUnprocessableEntity, "user_already_exists", "User already registered"}
	if err := h.book.add(u, hash, taken); err != nil {
		return nil, err
	}
	return h.grant(h.book.open(u.ID, h.cfg.Now()))
}

func (h *Handler) token(_ http.ResponseWriter, r *http.Request) (any, error) {
	var c credentials
	if err := read(r, &c); err != nil {
		return nil, err
	}
	switch r.URL.Query().Get("grant_type") {
	case "password":
		u, hash := h.book.find(strings.ToLower(strings.TrimSpace(c.Email)))
		if u == nil || bcrypt.CompareHashAndPassword(hash, []byte(c.Password)) != nil {
			return nil, errCredentials
		}
		if u.EmailConfirmedAt == nil {
			return nil, &problem{http.StatusBadRequest, "email_not_confirmed", "Email not confirmed"}
		}
		return h.grant(h.book.open(u.ID, h.cfg.Now()))
	case "refresh_token":
		return h.grant(h.book.rotate(c.RefreshToken, h.cfg.Now()))
	}
	return nil, &problem{http.StatusBadRequest, "invalid_credentials", "unsupported_grant_type: use password or refresh_token"}
}

// grant signs the access token of a session.
func (h *Handler) grant(u *User, sessionID, refresh string, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	now := h.cfg.Now()
	expiry := now.Add(h.cfg.TokenTTL).Unix()
	access, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": h.cfg.Issuer, "sub": u.ID, "aud": u.Audience, "role": u.Role, "exp": expiry, "iat": now.Unix(),
		"email": u.Email, "phone": u.Phone, "app_metadata": u.AppMetadata, "user_metadata": u.UserMetadata,
		"session_id": sessionID, "is_anonymous": false, "aal": "aal1",
		"amr": []map[string]any{{"method": "password", "timestamp": now.Unix()}},
	}).SignedString([]byte(h.cfg.Secret))
	if err != nil {
		return nil, fmt.Errorf("signing the token of %s: %w", u.ID, err)
	}
	return granted{AccessToken: access, TokenType: "bearer", ExpiresIn: int64(h.cfg.TokenTTL.Seconds()),
		ExpiresAt: expiry, RefreshToken: refresh, User: u}, nil
}

func (h *Handler) user(_ http.ResponseWriter, r *http.Request) (any, error) {
	u, _, err := h.signedIn(r)
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (h *Handler) updateUser(_ http.ResponseWriter, r *http.Request) (any, error) {
	u, _, err := h.signedIn(r)
	if err != nil {
		return nil, err
	}
	var c credentials
	if err := read(r, &c); err != nil {
		return nil, err
	}
	return h.apply(u.ID, change{Email: c.Email, Password: c.Password, UserMetadata: c.Data})
}

func (h *Handler) logOut(_ http.ResponseWriter, r *http.Request) (any, error) {
	_, sessionID, err := h.signedIn(r)
	if err != nil {
		return nil, err
	}
	scope := r.URL.Query().Get("scope")
	switch scope {
	case "":
		scope = "global"
	case "global", "local", "others":
	default:
		return nil, &problem{http.StatusBadRequest, "validation_failed", "Unsupported logout scope \"" + scope + "\": use global, local or others"}
	}
	h.book.endSessions(sessionID, scope)
	return nil, nil
}

// bearer returns the claims of a request's token.
func (h *Handler) bearer(r *http.Request) (*auth.Claims, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, &problem{http.StatusUnauthorized, "no_authorization", "This endpoint requires a valid Bearer token"}
	}
	claims, err := h.verifier.Verify(token)
	if err != nil {
		return nil, &problem{http.StatusForbidden, "bad_jwt", "invalid JWT: unable to parse or verify signature, " + err.Error()}
	}
	return claims, nil
}

// signedIn returns the user and the session of a request's token.
func (h *Handler) signedIn(r *http.Request) (*User, string, error) {
	claims, err := h.bearer(r)
	if err != nil {
		return nil, "", err
	}
	var token struct {
		Session string `json:"session_id"`
	}
	if err := json.Unmarshal(claims.Raw, &token); err != nil || claims.Subject == "" {
		return nil, "", &problem{http.StatusForbidden, "bad_jwt", "invalid claim: missing sub claim"}
	}
	u := h.book.get(claims.Subject)
	if u == nil {
		return nil, "", &problem{http.StatusForbidden, "user_not_found", "User from sub claim in JWT does not exist"}
	}
	if !h.book.hasSession(token.Session) {
		return nil, "", &problem{http.StatusForbidden, "session_not_found", "Session from session_id claim in JWT does not exist"}
	}
	return u, token.Session, nil
}
