package source

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// errBusy says that another reader has the slot.
var errBusy = errors.New("another node reads the changes")

// problem is an error that stays until somebody does something about it: trying again soon does not help.
type problem struct {
	err error
	fix string
}

func (p *problem) Error() string { return p.err.Error() + ": " + p.fix }
func (p *problem) Unwrap() error { return p.err }

// The error codes of PostgreSQL (documentation, appendix "PostgreSQL Error Codes") that mean something here.
const (
	codeNotReady       = "55000" // object_not_in_prerequisite_state: wal_level, or a slot that lost its WAL
	codeInUse          = "55006"
	codeNotFound       = "42704"
	codeAlreadyThere   = "42710"
	codeDuplicate      = "23505" // as codeAlreadyThere, if it came in the same moment
	codeNotAllowed     = "42501"
	codeLimit          = "53400" // max_replication_slots
	codeConnections    = "53300" // max_connections or max_wal_senders
	codeNoDatabase     = "3D000"
	codeWrongPassword  = "28P01"
	codeAuthentication = "28000"
)

func hasCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}

// explain turns what PostgreSQL says into what the user can do, if anything.
func explain(err error, cfg *Config) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	fix := func(format string, args ...any) error { return &problem{err, fmt.Sprintf(format, args...)} }
	switch pg.Code {
	case codeInUse:
		return errBusy
	case codeNotReady:
		return fix("look at pg_replication_slots; if wal_status is lost, the changes since are gone: "+
			"`SELECT pg_drop_replication_slot('%s')`, and a new slot is created", cfg.Slot)
	case codeNotFound:
		// The publication is looked up as it was when the change was made that is being decoded.
		return fix("if it is the publication that is missing: the slot is at changes made before publication %s was created, or after it was dropped; "+
			"stop reading and pass over them, they were never published: `SELECT pg_replication_slot_advance('%s', pg_current_wal_lsn())`. "+
			"If it is the slot: a new one is created, and changes since the old one was dropped are not delivered", cfg.Publication, cfg.Slot)
	case codeNotAllowed:
		return fix("the role of the database URL needs the attribute REPLICATION: `ALTER ROLE … REPLICATION`, and to create the publication "+
			"`GRANT CREATE ON DATABASE …`; or create it yourself: `CREATE PUBLICATION %s`", cfg.Publication)
	case codeLimit:
		return fix("raise max_replication_slots, or drop a slot that nobody needs (pg_replication_slots)")
	case codeConnections:
		return fix("raise max_connections or max_wal_senders: each node needs one connection, and the one that reads two")
	case codeNoDatabase:
		return fix("name an existing database in the database URL")
	case codeWrongPassword, codeAuthentication:
		return fix("check user and password of the database URL, and pg_hba.conf")
	}
	return err
}

// check says what keeps changes from being read, as far as it can be seen beforehand.
func (st *slotState) check(cfg *Config) error {
	fix := func(what, format string, args ...any) error {
		return &problem{errors.New(what), fmt.Sprintf(format, args...)}
	}
	switch {
	case st.Version < 150000:
		return fix(fmt.Sprintf("PostgreSQL is version %d", st.Version/10000), "use 15 or newer")
	case st.WalLevel != "logical":
		return fix(fmt.Sprintf("wal_level is %q", st.WalLevel), "set it to logical, `ALTER SYSTEM SET wal_level = logical`, and restart PostgreSQL")
	case st.InRecovery:
		return fix("the database is a standby", "name the primary in the database URL")
	case st.Slot && st.SlotIn != st.Database:
		return fix(fmt.Sprintf("replication slot %s belongs to database %q, not %q", cfg.Slot, st.SlotIn, st.Database), "use another slot name for this database")
	case st.Slot && st.Plugin != "pgoutput":
		return fix(fmt.Sprintf("replication slot %s has the output plugin %s", cfg.Slot, st.Plugin), "use another slot name; it will be created with pgoutput")
	case st.Slot && st.WalStatus == "lost":
		return fix(fmt.Sprintf("replication slot %s has lost its WAL (max_slot_wal_keep_size)", cfg.Slot),
			"the changes since are gone; `SELECT pg_drop_replication_slot('%s')`, and a new one is created", cfg.Slot)
	}
	return nil
}
