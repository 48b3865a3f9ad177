package watch

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a log that is written and read at the same time.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) errors() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), "level=ERROR")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// follow runs a File whose content may not contain "bad", in the bubble of a test.
func follow(t *testing.T, path, first string, log *journal) (inUse func() string) {
	t.Helper()
	var mu sync.Mutex
	used := []string{first}
	f := &File{Path: path, Kind: "list", Limit: 20, Every: time.Second, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Use: func(text []byte) error {
			if strings.Contains(string(text), "bad") {
				return errors.New("it is bad")
			}
			mu.Lock()
			defer mu.Unlock()
			used = append(used, string(text))
			return nil
		}}
	go f.Run(t.Context(), []byte(first)) // ends with the test
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(used, "|")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	write(t, path, "one")
	synctest.Test(t, func(t *testing.T) {
		var log journal
		inUse := follow(t, path, "one", &log)
		for _, step := range []struct {
			name, text, used string
			errors           int
		}{
			{"as it was", "one", "one", 0},
			{"changed", "two", "one|two", 0},
			{"refused", "bad", "one|two", 1},
			{"as before", "two", "one|two", 1},
			{"too large", strings.Repeat("x", 21), "one|two", 2},
			{"right again, and new", "three", "one|two|three", 2},
			{"gone", "", "one|two|three", 3},
			{"back", "three", "one|two|three", 3},
		} {
			if step.name == "gone" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				write(t, path, step.text)
			}
			time.Sleep(4 * time.Second)
			synctest.Wait()
			if got := inUse(); got != step.used || log.errors() != step.errors {
				t.Errorf("%s: in use %s with %d errors, want %s with %d", step.name, got, log.errors(), step.used, step.errors)
			}
		}
	})
}

func TestHalfAFileIsNotUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	write(t, path, "a")
	synctest.Test(t, func(t *testing.T) {
		var log journal
		inUse := follow(t, path, "a", &log)
		for n := range 10 { // somebody writes for a long time
			write(t, path, strings.Repeat("b", n+1))
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if got := inUse(); got != "a" {
			t.Errorf("half of a file was used: %s", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := inUse(); got != "a|bbbbbbbbbb" {
			t.Errorf("in use: %s", got)
		}
	})
}
