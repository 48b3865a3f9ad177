package account

import (
	"testing"
	"time"
)

func TestAccountsAreBounded(t *testing.T) {
	c := serve(t, 2)
	c.call("POST", "/signup", "", `{"email":"a@example.com","password":"peonies"}`, 200)
	second := c.call("POST", "/signup", "", `{"email":"b@example.com","password":"peonies"}`, 200)
	c.refused("POST", "/signup", "", `{"email":"c@example.com","password":"peonies"}`, 429, "over_request_rate_limit", "This server keeps at most 2 accounts")
	_, service := Keys(LocalSecret, c.clock.Now())
	c.call("DELETE", "/admin/users/"+second.text("user.id"), service, "", 200)
	c.call("POST", "/signup", "", `{"email":"c@example.com","password":"peonies"}`, 200)
}

func TestSessionsAreBounded(t *testing.T) {
	b := newBook(10)
	u := newUser("a@example.com", true, time.Now())
	if err := b.add(u, nil, errEmailTaken); err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for range 3 * maxSessions {
		_, _, token, err := b.open(u.ID, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, token, err = b.rotate(token, time.Now()); err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	if len(b.sessions) != maxSessions || len(b.refresh) != 2*maxSessions {
		t.Errorf("%d sessions, %d refresh tokens", len(b.sessions), len(b.refresh))
	}
	if b.refresh[tokens[0]] != nil || b.refresh[tokens[len(tokens)-1]] == nil {
		t.Error("the oldest must go, the newest must stay")
	}
	b.remove(u.ID)
	if len(b.sessions)+len(b.refresh)+len(b.byID)+len(b.byEmail) != 0 {
		t.Errorf("an account has left something behind: %+v", b)
	}
}
