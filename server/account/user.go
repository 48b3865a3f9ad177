package account

import (
	"maps"
	"net/http"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/bcrypt"
)

// User is an account as clients see it. Users are replaced, never changed, so that one can be written
// to a client without a lock.
type User struct {
	ID               string         `json:"id"`
	Audience         string         `json:"aud"`
	Role             string         `json:"role"`
	Email            string         `json:"email"`
	EmailConfirmedAt *time.Time     `json:"email_confirmed_at,omitempty"`
	Phone            string         `json:"phone"`
	ConfirmedAt      *time.Time     `json:"confirmed_at,omitempty"`
	LastSignInAt     *time.Time     `json:"last_sign_in_at,omitempty"`
	AppMetadata      map[string]any `json:"app_metadata"`
	UserMetadata     map[string]any `json:"user_metadata"`
	Identities       []identity     `json:"identities"`
	CreatedAt        time.Time      `json:"created_at"`
	UpdatedAt        time.Time      `json:"updated_at"`
	IsAnonymous      bool           `json:"is_anonymous"`
}

// identity is how a user proves to be one: here always by an e-mail address.
type identity struct {
	IdentityID   string         `json:"identity_id"`
	ID           string         `json:"id"`
	UserID       string         `json:"user_id"`
	IdentityData map[string]any `json:"identity_data"`
	Provider     string         `json:"provider"`
	LastSignInAt time.Time      `json:"last_sign_in_at"`
	CreatedAt    time.Time      `json:"created_at"`
	UpdatedAt    time.Time      `json:"updated_at"`
	Email        string         `json:"email"`
}

const (
	authenticated = "authenticated" // role and audience of users
	minPassword   = 6               // characters, as a local Supabase has it
	maxPassword   = 72              // bytes: bcrypt reads no more

	// hashCost is low (about 4 ms): these passwords live in the memory of a process for tests, and
	// suites create hundreds of users.
	hashCost = 6

	codeWeak = "weak_password"
)

func newUser(email string, confirmed bool, now time.Time) *User {
	now = now.UTC()
	id := uuid.NewString()
	u := &User{
		ID: id, Audience: authenticated, Role: authenticated, Email: email, CreatedAt: now, UpdatedAt: now,
		AppMetadata:  map[string]any{"provider": "email", "providers": []string{"email"}},
		UserMetadata: map[string]any{},
	}
	if confirmed {
		u.EmailConfirmedAt, u.ConfirmedAt = &now, &now
	}
	u.Identities = []identity{{IdentityID: uuid.NewString(), ID: id, UserID: id, Provider: "email", Email: email,
		LastSignInAt: now, CreatedAt: now, UpdatedAt: now,
		IdentityData: map[string]any{"sub": id, "email": email, "email_verified": false, "phone_verified": false}}}
	return u
}

// changed returns a copy to change the fields of.
func (u *User) changed(now time.Time) *User {
	next := *u
	next.UpdatedAt = now.UTC()
	return &next
}

// setID gives a user who is not in the book yet the id that was asked for.
func (u *User) setID(id string) {
	u.ID = id
	for i := range u.Identities {
		u.Identities[i].ID, u.Identities[i].UserID = id, id
		u.Identities[i].IdentityData["sub"] = id
	}
}

func (u *User) setEmail(email string) {
	u.Email = email
	u.Identities = slices.Clone(u.Identities)
	for i := range u.Identities {
		data := maps.Clone(u.Identities[i].IdentityData)
		data["email"] = email
		u.Identities[i].Email, u.Identities[i].IdentityData = email, data
	}
}

// merged lays changes over a metadata object; null removes a key.
func merged(old, changes map[string]any) map[string]any {
	next := maps.Clone(old)
	for key, value := range changes {
		if value == nil {
			delete(next, key)
		} else {
			next[key] = value
		}
	}
	return next
}

// cleanEmail returns an address as accounts are found by it.
func cleanEmail(email string) (string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > 255 {
		return "", &problem{http.StatusBadRequest, "validation_failed", "Unable to validate email address: invalid format"}
	}
	return email, nil
}

// hashPassword refuses a password that is too short or too long.
func hashPassword(password string) ([]byte, error) {
	switch {
	case len([]rune(password)) < minPassword:
		return nil, &problem{http.StatusUnprocessableEntity, codeWeak, "Password should be at least 6 characters."}
	case len(password) > maxPassword:
		return nil, &problem{http.StatusBadRequest, "validation_failed", "Password cannot be longer than 72 characters"}
	}
	return bcrypt.GenerateFromPassword([]byte(password), hashCost)
}
