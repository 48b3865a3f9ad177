package source

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// victim, in the environment, makes this test program a reader of the slot "takeover" of that database.
const victim = "WEDSYNC_TEST_READER"

func TestMain(m *testing.M) {
	if url := os.Getenv(victim); url != "" {
		beVictim(url)
		os.Exit(1) // it is to be killed
	}
	goleak.VerifyTestMain(m)
}

// beVictim prints what it publishes, a line for each change. All is held at once.
func beVictim(url string) {
	r, err := New(Config{URL: url, Slot: "takeover",
		Publish: func(_ context.Context, c *Change) (func(context.Context) error, error) {
			_, err := fmt.Printf("%s\t%s\n", c.ID, show(c))
			return nil, err
		},
		Known: func(context.Context, string) (bool, error) { return false, nil },
	})
	if err == nil {
		err = r.Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
}

// record is what was published by somebody, in order: "ID\tchange".
type record struct {
	mu    sync.Mutex
	lines []string
	ids   map[string]bool
}

func (r *record) add(line string) {
	id, _, _ := strings.Cut(line, "\t")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line)
	r.ids[id] = true
}

func (r *record) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[id]
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

// TestReaderIsKilled kills a reader's process in the middle of a stream, and in the middle of a large
// transaction, while another one stands by. Together they must have published every committed row, in
// the order of the commits, and what both published under the same id.
func TestReaderIsKilled(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]struct{ row, seen int }{
		"between transactions": {row: 30, seen: 10}, "in the middle of one": {row: 50, seen: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, db := database(t, pgtest.Start(t), "takeover")
			sql(t, db, guests, `CREATE TABLE photos (id int4 PRIMARY KEY, n int4)`, `CREATE PUBLICATION supabase_realtime FOR TABLE guests, photos`,
				// A slot that is being created is active too; this one is only when somebody reads it.
				`SELECT pg_create_logical_replication_slot('takeover', 'pgoutput')`)
			first := &record{ids: map[string]bool{}}
			kill := startVictim(t, cfg.URL, first)
			t.Cleanup(kill)
			within(t, "the first one reads", func() bool {
				var active bool
				_ = db.QueryRow(context.Background(), `SELECT active FROM pg_replication_slots WHERE slot_name = 'takeover'`).Scan(&active)
				return active
			})
			second := newJournal()
			seed := maphash.MakeSeed()
			cfg.Known = func(_ context.Context, id string) (bool, error) { // half of it has come to the own log
				return first.has(id) && maphash.String(seed, id)%2 == 0, nil
			}
			b := start(t, cfg, second)
			within(t, "the second one stands by", func() bool { return strings.Contains(b.log.String(), "stands by") })

			var want []string
			var killed time.Time
			for i := range 100 {
				table := []string{"guests", "photos"}[i%2]
				sql(t, db, fmt.Sprintf(`INSERT INTO %s VALUES (%d, 0)`, table, i))
				want = append(want, fmt.Sprintf("INSERT %s new(id=%d n=0)", table, i))
				if i == 50 {
					// COPY writes many rows into one record of the WAL.
					rows := pgx.CopyFromSlice(5000, func(n int) ([]any, error) { return []any{1000 + n, 1}, nil })
					if _, err := db.CopyFrom(context.Background(), pgx.Identifier{"guests"}, []string{"id", "n"}, rows); err != nil {
						t.Fatal(err)
					}
					for n := range 5000 {
						want = append(want, fmt.Sprintf("INSERT guests new(id=%d n=1)", 1000+n))
					}
				}
				if i == 20 { // a transaction that is not to be seen
					sql(t, db, `BEGIN; INSERT INTO photos VALUES (-1, -1); ROLLBACK`)
				}
				if i == at.row {
					within(t, "the first one is in the middle", func() bool { return len(first.all()) >= at.seen })
					killed = time.Now()
					kill()
				}
			}
			b.waitReading(t)
			t.Logf("taken over at most %v after; %d changes were published before", time.Since(killed).Round(time.Millisecond), len(first.all()))

			merged := func() (all []string) {
				seen := map[string]string{}
				lines := first.all()
				for _, c := range second.all() {
					lines = append(lines, c.ID+"\t"+show(c))
				}
				for _, line := range lines {
					id, change, _ := strings.Cut(line, "\t")
					if before, ok := seen[id]; ok && before != change {
						t.Fatalf("%s is %q and %q", id, before, change)
					} else if !ok {
						seen[id] = change
						all = append(all, change)
					}
				}
				return all
			}
			within(t, "every change has come", func() bool { return len(second.all()) > 0 && len(merged()) >= len(want) })
			for i, got := range merged() {
				if i >= len(want) || got != want[i] {
					t.Fatalf("change %d is %q, want %q", i, got, want[min(i, len(want)-1)])
				}
			}
		})
	}
}

// startVictim runs the reader that prints what it publishes, and returns what kills it.
func startVictim(t *testing.T, url string, r *record) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victim+"="+url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() { // ends with the process
		defer close(read)
		for in := bufio.NewReader(out); ; {
			line, err := in.ReadBytes('\n')
			if err != nil {
				return // what is left is half a line: not published
			}
			r.add(string(bytes.TrimSuffix(line, []byte("\n"))))
		}
	}()
	return sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have failed by itself; what it printed is judged
		<-read
		_ = cmd.Wait() // it was killed
	})
}
