package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// writePatience bounds the sending of one status. PostgreSQL reads them also while it sends.
const writePatience = 5 * time.Second

// line is the connection over which one reader follows the slot, in the streaming replication
// protocol (PostgreSQL documentation, section of that name). One goroutine receives, another one
// reports.
type line struct {
	conn *pgconn.HijackedConn
	// since is when the receiver began to wait for PostgreSQL, in Unix nanoseconds; 0 while it is busy.
	since atomic.Int64
	out   []byte // the reporter's
}

// dial connects and starts to follow the slot. errBusy: another reader has it.
func dial(ctx context.Context, cfg *Config) (*line, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pc, err := pgconn.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	for name, value := range map[string]string{
		"replication": "database", "application_name": cfg.Slot,
		"wal_sender_timeout": strconv.FormatInt(cfg.ReleaseAfter.Milliseconds(), 10),
		// How values are printed must not depend on the settings of a role or a database.
		"client_encoding": "UTF8", "DateStyle": "ISO", "IntervalStyle": "postgres", "TimeZone": "UTC",
		"bytea_output": "hex", "extra_float_digits": "1",
	} {
		pc.RuntimeParams[name] = value
	}
	conn, err := pgconn.ConnectConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("connecting for replication: %w", err)
	}
	if err := startReplication(ctx, conn, cfg); err != nil {
		_ = conn.Close(ctx) // the error above is the one to tell
		return nil, err
	}
	hijacked, err := conn.Hijack()
	if err != nil {
		_ = conn.Close(ctx) // the error above is the one to tell
		return nil, fmt.Errorf("taking over the replication connection: %w", err)
	}
	return &line{conn: hijacked}, nil
}

func startReplication(ctx context.Context, conn *pgconn.PgConn, cfg *Config) error {
	// 0/0: from where the slot was confirmed. The publication's name is an identifier in a literal.
	name := strings.ReplaceAll(cfg.Publication, `"`, `""`)
	conn.Frontend().Send(&pgproto3.Query{String: fmt.Sprintf(
		`START_REPLICATION SLOT "%s" LOGICAL 0/0 (proto_version '1', publication_names '"%s"')`, cfg.Slot, strings.ReplaceAll(name, "'", "''"))})
	if err := conn.Frontend().Flush(); err != nil {
		return fmt.Errorf("starting replication: %w", err)
	}
	for {
		msg, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return fmt.Errorf("starting replication: %w", err)
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyBothResponse:
			return nil
		case *pgproto3.ErrorResponse:
			return fmt.Errorf("starting replication from slot %s: %w", cfg.Slot, pgconn.ErrorResponseToPgError(msg))
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return fmt.Errorf("starting replication: PostgreSQL answers with an unexpected %T", msg)
		}
	}
}

// received is one message of the stream: either data, or a keepalive.
type received struct {
	data []byte // of pgoutput, valid until the next receive; nil in a keepalive
	// lsn of data is where in the WAL it comes from. Of a keepalive: everything that was committed
	// before it has been sent.
	lsn   uint64
	reply bool // an answer is wanted at once
}

// receive waits for the next message. It is interrupted by interrupt.
func (l *line) receive() (received, error) {
	for {
		l.since.Store(time.Now().UnixNano())
		msg, err := l.conn.Frontend.Receive()
		l.since.Store(0)
		if err != nil {
			return received{}, fmt.Errorf("receiving changes: %w", err)
		}
		switch msg := msg.(type) {
		case *pgproto3.CopyData:
			return parseCopyData(msg.Data)
		case *pgproto3.ErrorResponse:
			return received{}, fmt.Errorf("receiving changes: %w", pgconn.ErrorResponseToPgError(msg))
		case *pgproto3.CopyDone, *pgproto3.CommandComplete, *pgproto3.ReadyForQuery:
			return received{}, fmt.Errorf("PostgreSQL ended the stream: %w", io.EOF)
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus:
		default:
			return received{}, fmt.Errorf("receiving changes: an unexpected %T", msg)
		}
	}
}

func parseCopyData(b []byte) (received, error) {
	switch {
	case len(b) >= 25 && b[0] == 'w': // XLogData: start, end, time, data
		return received{data: b[25:], lsn: binary.BigEndian.Uint64(b[1:])}, nil
	case len(b) == 18 && b[0] == 'k': // primary keepalive: end, time, reply
		return received{lsn: binary.BigEndian.Uint64(b[1:]), reply: b[17] != 0}, nil
	}
	return received{}, fmt.Errorf("receiving changes: a message of %d bytes that is neither data nor a keepalive", len(b))
}

// silence is how long the receiver has been waiting for PostgreSQL.
func (l *line) silence() time.Duration {
	since := l.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since))
}

// report sends a standby status update: what has been received, and what need not be sent again. It
// asks for an answer, so that a PostgreSQL that is well is never silent for long.
func (l *line) report(receivedLSN, confirmed uint64) error {
	now := uint64(time.Now().UnixMicro() - 946_684_800_000_000) // PostgreSQL counts from 2000-01-01
	l.out = append(l.out[:0], 'r')
	for _, v := range []uint64{receivedLSN, confirmed, confirmed, now} {
		l.out = binary.BigEndian.AppendUint64(l.out, v)
	}
	l.out = append(l.out, 1)
	l.conn.Frontend.Send(&pgproto3.CopyData{Data: l.out})
	return l.flush()
}

func (l *line) flush() error {
	if err := l.conn.Conn.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return fmt.Errorf("reporting to PostgreSQL: %w", err)
	}
	if err := l.conn.Frontend.Flush(); err != nil {
		return fmt.Errorf("reporting to PostgreSQL: %w", err)
	}
	return nil
}

// interrupt ends the current receive, and all that follow, with a timeout.
func (l *line) interrupt() { _ = l.conn.Conn.SetReadDeadline(time.Unix(1, 0)) } // fails on a closed one: as good

// finish reports for the last time and ends the stream in order, so that the report is certain to
// be read: closing at once, with data unread, may throw it away. Nobody else may use the line.
func (l *line) finish(receivedLSN, confirmed uint64) error {
	if err := l.report(receivedLSN, confirmed); err != nil {
		return err
	}
	l.conn.Frontend.Send(&pgproto3.CopyDone{})
	if err := l.flush(); err != nil {
		return err
	}
	if err := l.conn.Conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("ending the stream: %w", err)
	}
	for {
		msg, err := l.conn.Frontend.Receive()
		if err != nil {
			return fmt.Errorf("ending the stream: %w", err)
		}
		switch msg.(type) {
		case *pgproto3.ReadyForQuery:
			l.conn.Frontend.Send(&pgproto3.Terminate{})
			return l.flush()
		case *pgproto3.ErrorResponse:
			return errors.New("ending the stream: PostgreSQL answers with an error")
		}
	}
}

func (l *line) close() { _ = l.conn.Conn.Close() } // what matters has been said before
