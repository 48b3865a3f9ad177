package backbone

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// serverLog hands the log server's lines to slog, and keeps what the server calls fatal: it is the
// only way to learn why the server did not start.
type serverLog struct {
	log   *slog.Logger
	first atomic.Pointer[string]
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log.With("part", "log server")}
}

// fatal returns the first fatal line, if there was one.
func (l *serverLog) fatal() error {
	if line := l.first.Load(); line != nil {
		return errors.New(*line)
	}
	return nil
}

func (l *serverLog) Fatalf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.first.CompareAndSwap(nil, &line)
	l.log.Error(line)
}

func (l *serverLog) Errorf(format string, v ...any) { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *serverLog) Warnf(format string, v ...any)  { l.log.Warn(fmt.Sprintf(format, v...)) }

// Notices are the server's start-up chatter: of interest only to who debugs it.
func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}
