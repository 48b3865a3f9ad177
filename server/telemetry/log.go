package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// Log formats, as --log-format takes them.
const (
	LogJSON = "json"
	LogText = "text"
)

// NewLogger writes structured lines to w: JSON for machines, text for eyes.
func NewLogger(w io.Writer, format string, level slog.Level) (*slog.Logger, error) {
	opts := &slog.HandlerOptions{Level: level}
	switch format {
	case LogJSON:
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	case LogText:
		return slog.New(slog.NewTextHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("log format %q: use %s or %s", format, LogJSON, LogText)
}
