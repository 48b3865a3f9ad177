package account

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/server/auth"
)

func TestAdmin(t *testing.T) {
	c := serve(t, 0)
	session := c.call("POST", "/signup", "", florist, 200)
	anon, service := Keys(LocalSecret, c.clock.Now())
	for _, call := range []struct{ method, path string }{{"POST", "/admin/users"}, {"GET", "/admin/users"}, {"GET", "/admin/users/x"}, {"PUT", "/admin/users/x"}, {"DELETE", "/admin/users/x"}} {
		c.refused(call.method, call.path, "", "{}", 401, "no_authorization", "")
		c.refused(call.method, call.path, anon, "{}", 403, "not_admin", "User not allowed")
		c.refused(call.method, call.path, session.text("access_token"), "{}", 403, "not_admin", "User not allowed")
	}
	id := "5b0c2f0e-6d0b-4f4e-9a52-1f4b0a6f4c11"
	c.clock.pass(time.Minute)
	made := c.call("POST", "/admin/users", service, `{"id":"`+id+`","email":"planner@example.com","password":"lists1","app_metadata":{"vendor_type":"planner"},"user_metadata":{"name":"P"}}`, 200)
	if made.text("id") != id || made.text("app_metadata.vendor_type") != "planner" || made.text("app_metadata.provider") != "email" || made["email_confirmed_at"] != nil {
		t.Errorf("made: %v", made)
	}
	c.refused("POST", "/admin/users", service, `{"email":"planner@example.com"}`, 422, "email_exists", "A user with this email address has already been registered")
	c.refused("POST", "/admin/users", service, `{"password":"lists1"}`, 400, "validation_failed", "Cannot create a user without")
	c.refused("POST", "/admin/users", service, `{"email":"x@example.com","id":"7"}`, 400, "validation_failed", "ID must")
	c.refused("POST", "/token?grant_type=password", "", `{"email":"planner@example.com","password":"lists1"}`, 400, "email_not_confirmed", "Email not confirmed")
	changed := c.call("PUT", "/admin/users/"+id, service, `{"email_confirm":true,"app_metadata":{"weddings":["42"]}}`, 200)
	if changed.text("email_confirmed_at") == "" || changed.text("app_metadata.vendor_type") != "planner" {
		t.Errorf("changed: %v", changed)
	}
	planner := c.call("POST", "/token?grant_type=password", "", `{"email":"planner@example.com","password":"lists1"}`, 200)
	v, err := auth.New(t.Context(), auth.Config{Secret: LocalSecret, Now: c.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := v.Verify(planner.text("access_token"))
	if err != nil || !bytes.Contains(claims.Raw, []byte(`"weddings":["42"]`)) {
		t.Errorf("claims: %s, %v", claims.Raw, err)
	}
	if got := c.call("GET", "/admin/users/"+id, service, "", 200); got.text("email") != "planner@example.com" {
		t.Errorf("got: %v", got)
	}

	list, header := c.request("GET", "/admin/users?page=1&per_page=1", service, "", 200)
	users := list["users"].([]any)
	if len(users) != 1 || users[0].(map[string]any)["id"] != id || header.Get("X-Total-Count") != "2" || !strings.Contains(header.Get("Link"), `page=2&per_page=1>; rel="next"`) {
		t.Errorf("page 1: %v, %v", list, header)
	}
	list, header = c.request("GET", "/admin/users?page=3&per_page=1", service, "", 200)
	if len(list["users"].([]any)) != 0 || strings.Contains(header.Get("Link"), "next") {
		t.Errorf("page 3: %v, %v", list, header)
	}
	c.refused("GET", "/admin/users?page=0", service, "", 400, "validation_failed", "Bad Pagination Parameters")
	c.call("GET", "/admin/users?page=999999999999999999&per_page=1000", service, "", 200)

	c.call("DELETE", "/admin/users/"+id, service, "", 200)
	c.refused("DELETE", "/admin/users/"+id, service, "", 404, "user_not_found", "User not found")
	c.refused("GET", "/admin/users/"+id, service, "", 404, "user_not_found", "User not found")
	c.refused("PUT", "/admin/users/"+id, service, "{}", 404, "user_not_found", "User not found")
	c.refused("POST", "/token?grant_type=refresh_token", "", `{"refresh_token":"`+planner.text("refresh_token")+`"}`, 400, "refresh_token_not_found", "")
}
