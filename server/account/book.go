package account

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// maxSessions of one account; a further sign-in ends the oldest.
	maxSessions = 50
	// reuseWindow is how long a refresh token may be used again: two tabs that refresh at once.
	reuseWindow = 10 * time.Second
)

// book is the accounts and their sessions.
type book struct {
	limit int // accounts

	mu       sync.Mutex // guards the following, and what is inside
	byID     map[string]*entry
	byEmail  map[string]*entry
	sessions map[string]*session // by id
	refresh  map[string]*session // by refresh token, the one in use and the one before
}

type entry struct {
	user     *User
	hash     []byte     // of the password; nil: nobody can sign in
	sessions []*session // oldest first
}

// session is one signed-in client. Its refresh token changes each time it is used.
type session struct {
	id      string
	owner   *entry
	token   string
	before  string    // the token that the present one replaced
	rotated time.Time // when
}

func newBook(limit int) *book {
	return &book{limit: limit, byID: map[string]*entry{}, byEmail: map[string]*entry{},
		sessions: map[string]*session{}, refresh: map[string]*session{}}
}

// add makes an account. taken is the answer if the address has one already.
func (b *book) add(u *User, hash []byte, taken *problem) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byEmail[u.Email] != nil || b.byID[u.ID] != nil {
		return taken
	}
	if len(b.byID) >= b.limit {
		return &problem{http.StatusTooManyRequests, "over_request_rate_limit",
			"This server keeps at most " + strconv.Itoa(b.limit) + " accounts: delete some, or start it again"}
	}
	e := &entry{user: u, hash: hash}
	b.byID[u.ID], b.byEmail[u.Email] = e, e
	return nil
}

// find returns an account by its address, with the hash of its password.
func (b *book) find(email string) (*User, []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.byEmail[email]; e != nil {
		return e.user, e.hash
	}
	return nil, nil
}

func (b *book) get(id string) *User {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.byID[id]; e != nil {
		return e.user
	}
	return nil
}

// change replaces an account by what alter makes of it, and its password if there is a new hash.
func (b *book) change(id string, hash []byte, alter func(*User) *User) (*User, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.byID[id]
	if e == nil {
		return nil, errNoUser
	}
	next := alter(e.user)
	if other := b.byEmail[next.Email]; other != nil && other != e {
		return nil, errEmailTaken
	}
	delete(b.byEmail, e.user.Email)
	b.byEmail[next.Email] = e
	e.user = next
	if hash != nil {
		e.hash = hash
	}
	return next, nil
}

func (b *book) remove(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.byID[id]
	if e == nil {
		return false
	}
	for _, s := range slices.Clone(e.sessions) {
		b.end(s)
	}
	delete(b.byID, id)
	delete(b.byEmail, e.user.Email)
	return true
}

// list returns all accounts, the newest first.
func (b *book) list() []*User {
	b.mu.Lock()
	users := make([]*User, 0, len(b.byID))
	for _, e := range b.byID {
		users = append(users, e.user)
	}
	b.mu.Unlock()
	slices.SortFunc(users, func(x, y *User) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), cmp.Compare(x.ID, y.ID))
	})
	return users
}

// open starts a session and returns its id, its refresh token and the user who has now signed in.
func (b *book) open(id string, now time.Time) (user *User, sessionID, token string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.byID[id]
	if e == nil { // deleted just now
		return nil, "", "", errNoUser
	}
	if len(e.sessions) >= maxSessions {
		b.end(e.sessions[0])
	}
	s := &session{id: uuid.NewString(), owner: e, token: rand.Text()}
	e.sessions = append(e.sessions, s)
	b.sessions[s.id], b.refresh[s.token] = s, s
	now = now.UTC()
	e.user = e.user.changed(now)
	e.user.LastSignInAt = &now
	return e.user, s.id, s.token, nil
}

// rotate takes a refresh token and returns the next one of its session. A token that was replaced a
// moment ago leads to the same next one; one that was replaced long ago has been stolen from either
// side, and ends the session.
func (b *book) rotate(token string, now time.Time) (user *User, sessionID, next string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.refresh[token]
	switch {
	case s == nil:
		return nil, "", "", errNoRefreshToken
	case token == s.token:
		delete(b.refresh, s.before)
		s.before, s.token, s.rotated = s.token, rand.Text(), now
		b.refresh[s.token] = s
	case now.Sub(s.rotated) > reuseWindow:
		b.end(s)
		return nil, "", "", errTokenUsed
	}
	return s.owner.user, s.id, s.token, nil
}

// endSessions ends the sessions of one account: the one that is named (local), the others, or all
// (global).
func (b *book) endSessions(sessionID, scope string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	named := b.sessions[sessionID]
	if named == nil {
		return
	}
	for _, s := range slices.Clone(named.owner.sessions) {
		if scope == "global" || (scope == "local") == (s == named) {
			b.end(s)
		}
	}
}

func (b *book) hasSession(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[id] != nil
}

// end forgets a session. mu is held.
func (b *book) end(s *session) {
	delete(b.sessions, s.id)
	delete(b.refresh, s.token)
	delete(b.refresh, s.before)
	s.owner.sessions = slices.DeleteFunc(s.owner.sessions, func(o *session) bool { return o == s })
}
