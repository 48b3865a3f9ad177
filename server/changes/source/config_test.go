package source

import (
	"context"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
)

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	bad := Config{Slot: "Wed-Sync", Publication: strings.Repeat("p", 64), Window: -1, ReleaseAfter: time.Millisecond}
	_, err := New(bad)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"database URL is empty", `slot "Wed-Sync"`, "publication", "publish function", "known function", "window -1", "slot release after 1ms"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	secret := Config{URL: "postgres://u:s3cret@host:notaport/db"}
	if err := secret.Validate(); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v", err)
	}
}

func TestOneRegistryForTwoReadersIsRefused(t *testing.T) {
	cfg := Config{URL: "postgres://localhost/x", Registerer: prometheus.NewRegistry(),
		Publish: newJournal().Publish, Known: func(context.Context, string) (bool, error) { return false, nil }}
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "its own registry") {
		t.Errorf("error %v", err)
	}
}

func TestLongestID(t *testing.T) {
	id := changeID(strings.Repeat("s", maxSlot), math.MaxUint64, time.Date(2085, 1, 1, 0, 0, 0, 0, time.UTC), math.MaxUint32)
	if len(id) > 64 || !regexp.MustCompile(`^[A-Za-z0-9._:/-]+$`).MatchString(id) {
		t.Errorf("%s has %d bytes", id, len(id))
	}
}

// A problem is an error with the user's next step in it.
func TestProblems(t *testing.T) {
	cfg := Config{}.withDefaults()
	well := slotState{WalLevel: "logical", Version: 150004, Database: "d", Slot: true, Plugin: "pgoutput", SlotIn: "d", WalStatus: "reserved"}
	if err := well.check(&cfg); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*slotState)
		says   string
	}{
		"old server":       {func(s *slotState) { s.Version = 140011 }, "use 15 or newer"},
		"wal level":        {func(s *slotState) { s.WalLevel = "replica" }, "ALTER SYSTEM SET wal_level = logical"},
		"standby":          {func(s *slotState) { s.InRecovery = true }, "name the primary"},
		"other database":   {func(s *slotState) { s.SlotIn = "e" }, "use another slot name"},
		"other plugin":     {func(s *slotState) { s.Plugin = "wal2json" }, "use another slot name"},
		"WAL of slot lost": {func(s *slotState) { s.WalStatus = "lost" }, "pg_drop_replication_slot('wedsync')"},
	} {
		t.Run(name, func(t *testing.T) {
			st := well
			c.change(&st)
			var p *problem
			if err := st.check(&cfg); !errors.As(err, &p) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says: %s", err, c.says)
			}
		})
	}
	for code, says := range map[string]string{
		codeNotReady: "pg_drop_replication_slot('wedsync')", codeNotFound: "pg_replication_slot_advance('wedsync'", codeNotAllowed: "ALTER ROLE",
		codeLimit: "max_replication_slots", codeConnections: "max_wal_senders", codeNoDatabase: "database URL", codeWrongPassword: "password", codeAuthentication: "pg_hba.conf",
	} {
		var p *problem
		if err := explain(&pgconn.PgError{Code: code}, &cfg); !errors.As(err, &p) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one that says: %s", code, err, says)
		}
	}
	if err := explain(&pgconn.PgError{Code: codeInUse}, &cfg); !errors.Is(err, errBusy) {
		t.Errorf("slot in use: %v", err)
	}
	if err := explain(context.Canceled, &cfg); !errors.Is(err, context.Canceled) || errors.As(err, new(*problem)) {
		t.Errorf("another error: %v", err)
	}
}
