package account

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/server/auth"
)

// admin lets only trusted back ends through: tokens with role service_role, such as the service key.
func (h *Handler) admin(next answer) answer {
	return func(w http.ResponseWriter, r *http.Request) (any, error) {
		claims, err := h.bearer(r)
		if err != nil {
			return nil, err
		}
		if claims.Role != auth.RoleService {
			return nil, &problem{http.StatusForbidden, "not_admin", "User not allowed"}
		}
		return next(w, r)
	}
}

// change is what may be changed of an account; what is empty stays.
type change struct {
	ID           string         `json:"id"` // of a new account only
	Email        string         `json:"email"`
	Password     string         `json:"password"`
	Role         string         `json:"role"`
	EmailConfirm bool           `json:"email_confirm"`
	UserMetadata map[string]any `json:"user_metadata"`
	AppMetadata  map[string]any `json:"app_metadata"`
}

func (h *Handler) createUser(_ http.ResponseWriter, r *http.Request) (any, error) {
	var c change
	if err := read(r, &c); err != nil {
		return nil, err
	}
	if c.Email == "" {
		return nil, &problem{http.StatusBadRequest, "validation_failed", "Cannot create a user without either an email or phone"}
	}
	email, err := cleanEmail(c.Email)
	if err != nil {
		return nil, err
	}
	var hash []byte
	if c.Password != "" {
		if hash, err = hashPassword(c.Password); err != nil {
			return nil, err
		}
	}
	u := newUser(email, c.EmailConfirm, h.cfg.Now())
	if c.ID != "" {
		id, err := uuid.Parse(c.ID)
		if err != nil {
			return nil, &problem{http.StatusBadRequest, "validation_failed", "ID must conform to the uuid v4 format"}
		}
		u.setID(id.String())
	}
	if c.Role != "" {
		u.Role = c.Role
	}
	u.UserMetadata, u.AppMetadata = merged(u.UserMetadata, c.UserMetadata), merged(u.AppMetadata, c.AppMetadata)
	if err := h.book.add(u, hash, errEmailTaken); err != nil {
		return nil, err
	}
	return u, nil
}

func (h *Handler) getUser(_ http.ResponseWriter, r *http.Request) (any, error) {
	u := h.book.get(r.PathValue("id"))
	if u == nil {
		return nil, errNoUser
	}
	return u, nil
}

func (h *Handler) changeUser(_ http.ResponseWriter, r *http.Request) (any, error) {
	var c change
	if err := read(r, &c); err != nil {
		return nil, err
	}
	return h.apply(r.PathValue("id"), c)
}

// apply changes an account.
func (h *Handler) apply(id string, c change) (any, error) {
	var hash []byte
	var err error
	if c.Email != "" {
		if c.Email, err = cleanEmail(c.Email); err != nil {
			return nil, err
		}
	}
	if c.Password != "" {
		if hash, err = hashPassword(c.Password); err != nil {
			return nil, err
		}
	}
	now := h.cfg.Now().UTC()
	u, err := h.book.change(id, hash, func(old *User) *User {
		next := old.changed(now)
		if c.Email != "" {
			next.setEmail(c.Email)
		}
		if c.Role != "" {
			next.Role = c.Role
		}
		if c.EmailConfirm && next.EmailConfirmedAt == nil {
			next.EmailConfirmedAt, next.ConfirmedAt = &now, &now
		}
		next.UserMetadata, next.AppMetadata = merged(old.UserMetadata, c.UserMetadata), merged(old.AppMetadata, c.AppMetadata)
		return next
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (h *Handler) deleteUser(_ http.ResponseWriter, r *http.Request) (any, error) {
	if !h.book.remove(r.PathValue("id")) {
		return nil, errNoUser
	}
	return struct{}{}, nil
}

// listUsers returns one page: page counts from 1, per_page is 50 if it is not given, at most 1,000.
func (h *Handler) listUsers(w http.ResponseWriter, r *http.Request) (any, error) {
	page, err := positive(r, "page", 1)
	if err != nil {
		return nil, err
	}
	size, err := positive(r, "per_page", 50)
	if err != nil {
		return nil, err
	}
	size = min(size, 1000)
	users := h.book.list()
	total := len(users)
	last := max(1, (total+size-1)/size)
	from := total
	if page <= last {
		from = (page - 1) * size
	}
	link := fmt.Sprintf(`<%s?page=%d&per_page=%d>; rel="last"`, r.URL.Path, last, size)
	if page < last {
		link = fmt.Sprintf(`<%s?page=%d&per_page=%d>; rel="next", `, r.URL.Path, page+1, size) + link
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(total))
	w.Header().Set("Link", link)
	return map[string]any{"users": users[from:min(total, from+size)], "aud": authenticated}, nil
}

// positive reads a number of the query string.
func positive(r *http.Request, name string, otherwise int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, &problem{http.StatusBadRequest, "validation_failed", "Bad Pagination Parameters: " + name + " must be a positive number"}
	}
	return n, nil
}
