package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/auth"
	"github.com/wedsync/wedsync/server/backbone"
)

// logLine is one stored event, as an audit reads it.
type logLine struct {
	ID           string `json:"id"`
	Room         string `json:"room"`
	Origin       string `json:"origin"`
	HLC          string `json:"hlc"` // decimal: JavaScript cannot count that far
	Seq          uint64 `json:"seq"`
	StoredWallNS int64  `json:"stored_wall_ns"`
}

// log is GET /admin/log?lane=urgent|normal: what this node's log holds, one JSON object per line,
// for bearers of a service_role token. An answer that ends early is cut off, not ended.
func (a *api) log(w http.ResponseWriter, r *http.Request) {
	claims, err := a.bearer(r)
	if err != nil {
		writeMessage(w, http.StatusUnauthorized, textUnauthorized)
		return
	}
	if claims.Role != auth.RoleService {
		writeMessage(w, http.StatusForbidden, "The log needs a token with role "+auth.RoleService)
		return
	}
	lane, err := protocol.ParseLane(r.URL.Query().Get("lane"))
	if err != nil {
		writeMessage(w, http.StatusBadRequest, err.Error())
		return
	}
	if lane == protocol.Bulk {
		writeMessage(w, http.StatusBadRequest, "No log holds the bulk lane: use urgent or normal")
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(out)
	err = a.Log(r.Context(), lane, func(s backbone.Stored) error {
		return lines.Encode(logLine{ID: s.ID, Room: s.Room, Origin: s.Origin,
			HLC: strconv.FormatUint(uint64(s.HLC), 10), Seq: s.Seq, StoredWallNS: s.StoredAt.UnixNano()})
	})
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		a.Logger.Error("reading the log for an audit", "lane", lane, "err", err)
		panic(http.ErrAbortHandler) // cuts the connection, so that nobody takes a part for the whole
	}
}
