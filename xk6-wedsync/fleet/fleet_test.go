package fleet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/xk6-wedsync/journal"
	"github.com/wedsync/wedsync/xk6-wedsync/rehearsal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a rehearsal server, a fleet with books, and what was observed.
type stage struct {
	*testing.T
	server *rehearsal.Server
	fleet  *Fleet
	dir    string

	mu   sync.Mutex
	seen map[What]int
}

func newStage(t *testing.T, cfg FleetConfig) *stage {
	t.Helper()
	server, err := rehearsal.Start("eu-west", "us-east", "ap-southeast")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	s := &stage{T: t, server: server, fleet: New(cfg), dir: t.TempDir(), seen: map[What]int{}}
	return s
}

func (s *stage) open() *Books {
	s.Helper()
	history, err := journal.Open(s.dir, 1)
	if err != nil {
		s.Fatal(err)
	}
	latency, err := journal.OpenLatency(s.dir)
	if err != nil {
		s.Fatal(err)
	}
	b := &Books{history, latency}
	if err := s.fleet.Open(b); err != nil {
		s.Fatal(err)
	}
	return b
}

// shut closes the books and returns what they hold.
func (s *stage) shut(b *Books) (records []journal.Record) {
	s.Helper()
	if err := s.fleet.Shut(s.within(10 * time.Second)); err != nil {
		s.Fatal(err)
	}
	if err := errors.Join(b.History.Close(), b.Latency.Close()); err != nil {
		s.Fatal(err)
	}
	file, err := os.Open(filepath.Join(s.dir, journal.HistoryFile))
	if err != nil {
		s.Fatal(err)
	}
	defer file.Close()
	if err := journal.Read(file, func(r journal.Record) error { records = append(records, r); return nil }); err != nil {
		s.Fatal(err)
	}
	return records
}

func (s *stage) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), d)
	s.Cleanup(cancel)
	return ctx
}

func (s *stage) config(vendors ...Vendor) Config {
	var regions []Region
	urls := s.server.URLs()
	for _, name := range []string{"eu-west", "us-east", "ap-southeast"} {
		regions = append(regions, Region{name, []string{urls[name]}})
	}
	return Config{ID: "w001", Vendors: vendors, Regions: regions, Limit: 5 * time.Second, Observe: func(o Observation) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen[o.What]++
	}}
}

func (s *stage) observed(w What) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[w]
}

// wedding returns one that has arrived.
func (s *stage) wedding(cfg Config) *Wedding {
	s.Helper()
	w, err := s.fleet.NewWedding(s.Context(), cfg)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(w.end)
	if err := w.Arrive(s.within(10*time.Second), 0); err != nil {
		s.Fatal(err)
	}
	return w
}

// receipt waits for what a publish comes to.
func (s *stage) receipt(m *Message, err error) Receipt {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	return m.Wait(s.Context())
}

// eventually polls until ok.
func (s *stage) eventually(what string, ok func() bool) {
	s.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			s.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
