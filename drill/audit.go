package drill

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/reports/audit"
)

// logRecord is a line of GET /admin/log of a node.
type logRecord struct {
	ID           string `json:"id"`
	Room         string `json:"room"`
	Origin       string `json:"origin"`
	Seq          uint64 `json:"seq"`
	StoredWallNS int64  `json:"stored_wall_ns"`
}

// auditLogs writes what the log of every node holds: the raw material for "nothing acknowledged is lost".
func auditLogs(ctx context.Context, nodes []*cluster.Node, token string, w *audit.Writer) error {
	for _, node := range nodes {
		if err := w.Asked(node.Name, node.Region); err != nil {
			return err
		}
		for _, lane := range []string{"urgent", "normal"} {
			if err := auditLog(ctx, node, lane, token, w); err != nil {
				return fmt.Errorf("reading the %s log of %s: %w", lane, node.Name, err)
			}
		}
	}
	return nil
}

func auditLog(ctx context.Context, node *cluster.Node, lane, token string, w *audit.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, node.HTTP()+"/admin/log?lane="+lane, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 512)) // the status alone is enough if this fails
		return fmt.Errorf("the node answered %s: %s", response.Status, text)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		var r logRecord
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		if err := w.Write(audit.Record{Node: node.Name, Region: node.Region, Lane: lane,
			ID: r.ID, Room: r.Room, Origin: r.Origin, Seq: r.Seq, StoredWallNS: r.StoredWallNS}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// audit keeps what the log of every node holds at the end.
func (r *run) audit(ctx context.Context) (err error) {
	token, err := r.cluster.Token("service_role")
	if err != nil {
		return err
	}
	w, err := audit.Create(filepath.Join(r.raw, "log.jsonl.gz"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := r.recall(ctx); err != nil {
		return err
	}
	return auditLogs(ctx, r.cluster.Ever(), token, w)
}

// recall starts the nodes again that were removed: what their logs held, and since when, counts too.
func (r *run) recall(ctx context.Context) error {
	for {
		members := r.cluster.Nodes()
		i := slices.IndexFunc(r.cluster.Ever(), func(n *cluster.Node) bool { return !slices.Contains(members, n) })
		if i < 0 {
			return nil
		}
		if _, err := r.cluster.Add(ctx, r.cluster.Ever()[i].Region); err != nil {
			return fmt.Errorf("starting a removed node again, to read its log: %w", err)
		}
	}
}
