package auth

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// keyServer answers requests for a JWKS without a network.
type keyServer struct {
	mu      sync.Mutex
	set     []byte
	broken  bool
	slow    time.Duration
	fetches int
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.fetches++
	set, broken, slow := s.set, s.broken, s.slow
	s.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if broken {
		return &http.Response{StatusCode: 503, Status: "503 Service Unavailable", Body: io.NopCloser(strings.NewReader("busy")), Request: r}, nil
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(set)), Request: r}, nil
}

func (s *keyServer) become(set []byte, broken bool, slow time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set, s.broken, s.slow = set, broken, slow
}

func (s *keyServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

const jwksURL = "https://id.example.com/jwks.json"

func fetching(t *testing.T, s *keyServer, secret string, log io.Writer) (*Verifier, error) {
	return New(t.Context(), Config{Secret: secret, JWKS: jwksURL, Now: func() time.Time { return now },
		HTTPClient: &http.Client{Transport: s}, Logger: slog.New(slog.NewTextHandler(log, nil))})
}

// The two keys between which the tests rotate, and a token of each.
func rotation(t *testing.T) (oldSet, newSet []byte, oldToken, newToken string) {
	keys := testKeys()
	return jwks(t, jwk(t, "old", keys["p256"].Public())), jwks(t, jwk(t, "new", keys["ed"].Public())),
		signed(t, map[string]any{"kid": "old"}, jwt.SigningMethodES256, keys["p256"]),
		signed(t, map[string]any{"kid": "new"}, jwt.SigningMethodEdDSA, keys["ed"])
}

func expect(t *testing.T, v *Verifier, token string, good bool, when string) {
	t.Helper()
	if _, err := v.Verify(token); good != (err == nil) {
		t.Errorf("%s: %v, want accepted: %v", when, err, good)
	}
}

func TestRotationByTime(t *testing.T) {
	oldSet, newSet, oldToken, newToken := rotation(t)
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{set: oldSet}
		v, err := fetching(t, s, "", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, v, oldToken, true, "at first")
		s.become(newSet, false, 0)
		time.Sleep(DefaultRefresh - time.Second)
		synctest.Wait()
		expect(t, v, oldToken, true, "before the refresh")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		expect(t, v, newToken, true, "after the refresh")
		if n := s.count(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
		expect(t, v, oldToken, false, "a remembered token whose key is gone") // and has the keys fetched
	})
}

func TestUnknownKeyIsFetched(t *testing.T) {
	oldSet, newSet, _, newToken := rotation(t)
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{set: oldSet}
		v, err := fetching(t, s, "", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		s.become(newSet, false, 300*time.Millisecond)
		start := time.Now()
		expect(t, v, newToken, false, "at once")
		if d := time.Since(start); d != 0 {
			t.Errorf("Verify waited %s", d)
		}
		if _, err := v.VerifyWait(t.Context(), newToken); err != nil {
			t.Errorf("waited, and refused: %v", err)
		}
		if d := time.Since(start); d != 300*time.Millisecond {
			t.Errorf("VerifyWait took %s", d)
		}
	})
}

// Whoever sends tokens with invented keys must not make us ask the identity provider all the time,
// nor keep others from being verified.
func TestUnknownKeysAreLimited(t *testing.T) {
	oldSet, _, oldToken, newToken := rotation(t)
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{set: oldSet}
		v, err := fetching(t, s, "", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		s.become(oldSet, false, time.Minute) // and the provider is slow, too
		var attack sync.WaitGroup
		for range 200 {
			attack.Go(func() {
				for range 100 {
					_, _ = v.VerifyWait(t.Context(), newToken) // is refused
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		start := time.Now()
		for range 10 {
			expect(t, v, oldToken, true, "during the attack")
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("a good token had to wait %s", d)
		}
		attack.Wait()
		seconds := time.Since(start).Seconds()
		if n := float64(s.count() - 1); n > seconds/askEvery.Seconds()+1 {
			t.Errorf("%.0f fetches in %.0f s", n, seconds)
		}
	})
}

func TestVerifyWaitEndsWithItsContext(t *testing.T) {
	oldSet, _, _, newToken := rotation(t)
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{set: oldSet}
		v, err := fetching(t, s, "", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		s.become(oldSet, false, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := v.VerifyWait(ctx, newToken); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		start = time.Now()
		if _, err := v.VerifyWait(t.Context(), newToken); err == nil || time.Since(start) != askPatience {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestFailedRefreshKeepsTheKeys(t *testing.T) {
	oldSet, newSet, oldToken, newToken := rotation(t)
	for name, broken := range map[string]struct {
		set    []byte
		broken bool
	}{"refused": {oldSet, true}, "a page": {[]byte("<html>"), false}, "an error in JSON": {[]byte(`{"error":"no"}`), false}, "huge": {bytes.Repeat([]byte(" "), maxJWKS+1), false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log journal
				s := &keyServer{set: oldSet}
				v, err := fetching(t, s, "", &log)
				if err != nil {
					t.Fatal(err)
				}
				s.become(broken.set, broken.broken, 0)
				time.Sleep(DefaultRefresh + time.Hour/2)
				synctest.Wait()
				expect(t, v, oldToken, true, "while it cannot be read")
				if n := strings.Count(log.String(), "the JWKS could not be read"); n != 1 {
					t.Errorf("complained %d times:\n%s", n, &log)
				}
				s.become(newSet, false, 0)
				time.Sleep(retryAfter)
				synctest.Wait()
				expect(t, v, newToken, true, "when it can be read again")
				expect(t, v, oldToken, false, "when it can be read again")
			})
		})
	}
}

func TestStartWithoutKeys(t *testing.T) {
	oldSet, _, oldToken, _ := rotation(t)
	synctest.Test(t, func(t *testing.T) {
		s := &keyServer{broken: true}
		if _, err := fetching(t, s, "", io.Discard); err == nil || !strings.Contains(err.Error(), jwksURL) {
			t.Errorf("without a secret: %v", err)
		}
		var log journal
		v, err := fetching(t, s, secret, &log)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "level=WARN") {
			t.Errorf("no warning: %s", &log)
		}
		expect(t, v, signed(t, nil, jwt.SigningMethodHS256, []byte(secret)), true, "the secret")
		expect(t, v, oldToken, false, "a key that is not there yet")
		s.become(oldSet, false, 0)
		time.Sleep(retryAfter)
		synctest.Wait()
		expect(t, v, oldToken, true, "later")
	})
}

func TestKeyFileIsFollowed(t *testing.T) {
	oldSet, newSet, oldToken, newToken := rotation(t)
	path := filepath.Join(t.TempDir(), "jwks.json")
	writeFile(t, path, oldSet)
	synctest.Test(t, func(t *testing.T) {
		v, err := New(t.Context(), Config{JWKS: path, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		step := func() { time.Sleep(pollEvery); synctest.Wait() }
		expect(t, v, oldToken, true, "at first")
		writeFile(t, path, newSet[:len(newSet)/2])
		step()
		expect(t, v, oldToken, true, "half a file")
		writeFile(t, path, newSet)
		step()
		expect(t, v, newToken, true, "the whole file")
		expect(t, v, oldToken, false, "the whole file")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		step()
		expect(t, v, newToken, true, "no file")
	})
}

// The client of its own, over a real connection.
func TestKeysOverHTTP(t *testing.T) {
	oldSet, _, oldToken, _ := rotation(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(oldSet) }))
	defer server.Close()
	v, err := New(t.Context(), Config{JWKS: server.URL, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, v, oldToken, true, "over HTTP")
	server.Close()
	if _, err := New(t.Context(), Config{JWKS: server.URL}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("without a server: %v", err)
	}
}
