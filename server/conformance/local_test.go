package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What a local Supabase has, and people have in their configurations.
const (
	localSecret = "super-secret-jwt-token-with-at-least-32-characters-long"
	localMain   = "127.0.0.1:54321"
	localOther  = "127.0.0.1:4100"
)

// build makes the server's program, once for the tests of a run that need it.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "wedsync-server")
	out, err := exec.Command("go", "build", "-o", program, "github.com/wedsync/wedsync/cmd/wedsync-server").CombinedOutput()
	if err != nil {
		t.Fatalf("building wedsync-server: %v\n%s", err, out)
	}
	return program
}

// local runs the server with --supabase-local until the test ends. Its ports are fixed, so it waits for
// another test of this machine to be done with them.
func local(t *testing.T, program string) {
	t.Helper()
	deadline, pause := time.Now().Add(4*patience), time.NewTicker(100*time.Millisecond)
	defer pause.Stop()
	for {
		var said output
		cmd := exec.Command(program, "--supabase-local")
		cmd.Env = append(cmd.Environ(), "TMPDIR="+t.TempDir())
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }() // ends with the program
		for running := true; running; {
			select {
			case <-ended:
				running = false
			case <-pause.C:
				if isUp(localMain) && isUp(localOther) {
					t.Cleanup(func() {
						if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
							t.Error(err)
						}
						if err := <-ended; err != nil {
							t.Errorf("stopping wedsync-server: %v\n%s", err, said.String())
						}
					})
					return
				}
			}
		}
		if text := said.String(); !strings.Contains(text, "in use") || time.Now().After(deadline) {
			t.Fatalf("wedsync-server --supabase-local does not run:\n%s", text)
		}
	}
}

func isUp(address string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthcheck", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Ours: what suites that were written for a local Supabase find.
func TestSupabaseLocal(t *testing.T) {
	t.Parallel()
	program := build(t)
	local(t, program)
	// at lets clients talk to an address with a token of a role, made with the documented secret.
	at := func(s *scene, address string, roles map[string]string) {
		for name, role := range roles {
			token := signWith(s.t, jwt.SigningMethodHS256, []byte(localSecret), "", of(role))
			query := "?vsn=" + s.vsn + ".0.0&apikey=" + token
			s.dialWith(name, s.vsn, "ws://"+address+"/realtime/v1/websocket"+query, nil)
		}
	}
	var cases []behaviour
	for _, address := range []string{localMain, localOther} {
		cases = append(cases, behaviour{name: "local: realtime is on " + address + ", and an anonymous key may do everything", run: func(s *scene) {
			at(s, address, map[string]string{"a": "anon", "b": "anon"})
			s.play(`
				a join {"private":true}
				b> ["1","1","realtime:$T","phx_join",{"config":{"private":true,"presence":{"enabled":true,"key":"b"}}}]
				b< ["1","1","realtime:$T","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]
				b< ["1",null,"realtime:$T","presence_state",{}]` + by("b", tracks) + `
				b> ["1","3","realtime:$T","broadcast",{"event":"x"}]
				a~ [null,null,"realtime:$T","presence_diff",{"joins":{"b":"<object>"},"leaves":{}}]
				a~ [null,null,"realtime:$T","broadcast",{"event":"x"}]`)
		}})
	}
	cases = append(cases, behaviour{name: "local: the two addresses are one server", run: func(s *scene) {
		at(s, localMain, map[string]string{"a": "anon"})
		at(s, localOther, map[string]string{"b": "service_role"})
		s.play(`
				a join {}
				b join {}
				b> ["1","2","realtime:$T","broadcast",{"event":"x"}]
				a< [null,null,"realtime:$T","broadcast",{"event":"x"}]`)
	}}, behaviour{name: "local: an account signs up, signs in, and joins with its token", run: func(s *scene) {
		key := signWith(s.t, jwt.SigningMethodHS256, []byte(localSecret), "", of("anon"))
		s.words["email"] = fmt.Sprintf("florist-%s-%d@example.com", s.vsn, time.Now().UnixNano())
		call := func(path, body string) map[string]any {
			a := s.requestTo(localMain, http.MethodPost, path, body, "apikey", key, "Content-Type", jsonType)
			v, err := parse(a.body)
			object, ok := v.(map[string]any)
			if err != nil || !ok || a.status != http.StatusOK {
				s.t.Fatalf("%s: %d %s", path, a.status, a.body)
			}
			return object
		}
		session := call("/auth/v1/signup", `{"email":"$email","password":"six roses"}`)
		if err := match(map[string]any{"access_token": "<any>", "refresh_token": "<any>", "token_type": "bearer", "expires_in": "<number>", "user": "<object>", more: true}, session, s.names); err != nil {
			s.t.Error(err)
		}
		session = call("/auth/v1/token?grant_type=password", `{"email":"$email","password":"six roses"}`)
		s.words["token"], _ = session["access_token"].(string)
		query := "?vsn=" + s.vsn + ".0.0&apikey=" + key
		s.dialWith("a", s.vsn, "ws://"+localMain+"/realtime/v1/websocket"+query, nil)
		s.play(`
				a> ["1","1","realtime:$T","phx_join",{"access_token":"$token","config":{"private":true}}]
				` + joined)
		a := s.requestTo(localMain, http.MethodPost, "/auth/v1/token?grant_type=password", `{"email":"$email","password":"wrong"}`, "apikey", key, "Content-Type", jsonType)
		if a.status != http.StatusBadRequest {
			s.t.Errorf("a wrong password: %d %s", a.status, a.body)
		}
	}}, behaviour{name: "local: a token of another secret is refused", vsn: "2", run: func(s *scene) {
		s.is(s.requestTo(localMain, http.MethodPost, "/realtime/v1/api/broadcast", `{"messages":[]}`, "Authorization", "Bearer $anon"), http.StatusUnauthorized, `{"message":"Unauthorized"}`)
	}}, behaviour{name: "local: other addresses than the loopback are refused", vsn: "2", run: func(s *scene) {
		for _, address := range []string{"0.0.0.0:54321", ":54321", "192.0.2.1:54321", "[::]:54321"} {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			var said bytes.Buffer
			cmd := exec.CommandContext(ctx, program, "--supabase-local", "--listen", address)
			cmd.Env = append(cmd.Environ(), "TMPDIR="+s.t.TempDir())
			cmd.Stderr = &said
			err := cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(said.String(), "loopback") {
				s.t.Errorf("--listen %s: exit code %d (%v), want 2 and a word about the loopback:\n%s", address, code, err, said.String())
			}
		}
	}})
	table(t, nil, named(cases))
}

// named gives the cases of a feature that the protocol does not describe their section, which is the one
// about extensions.
func named(cases []behaviour) []behaviour {
	for i := range cases {
		cases[i].name = "§19 " + cases[i].name
	}
	return cases
}

// output keeps what a program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
