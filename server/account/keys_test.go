package account

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/server/auth"
)

// The keys are in the .env files of everybody who has tried Supabase: they must be the same bytes.
func TestDocumentedKeys(t *testing.T) {
	anon, service := Keys(LocalSecret, time.Unix(1_800_000_000, 0))
	const head = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
	if want := head + "eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6ImFub24iLCJleHAiOjE5ODM4MTI5OTZ9.CRXP1A7WOeoJeXxjNni43kdQwgnWNReilDMblYTn_I0"; anon != want {
		t.Errorf("anon key %s\nwant %s", anon, want)
	}
	if want := head + "eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6InNlcnZpY2Vfcm9sZSIsImV4cCI6MTk4MzgxMjk5Nn0.EGIM96RAZx35lJzdJsyH-qQwv8Hdp7fsn3W0YpN81IU"; service != want {
		t.Errorf("service_role key %s\nwant %s", service, want)
	}
	for _, when := range []int64{1_800_000_000, keysExpire - 1, keysExpire, keysExpire + 1e8} {
		moment := func() time.Time { return time.Unix(when, 0) }
		v, err := auth.New(t.Context(), auth.Config{Secret: LocalSecret, Now: moment})
		if err != nil {
			t.Fatal(err)
		}
		anon, service := Keys(LocalSecret, moment())
		for key, role := range map[string]string{anon: auth.RoleAnonymous, service: auth.RoleService} {
			if claims, err := v.Verify(key); err != nil || claims.Role != role {
				t.Errorf("at %d: %+v, %v, want %s", when, claims, err, role)
			}
		}
	}
}
