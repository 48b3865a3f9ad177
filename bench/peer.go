package bench

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Names of the peers.
const (
	CentrifugoName = "centrifugo"
	SocketIOName   = "socketio"
)

// Peers are the other servers that `make bench-peers` has installed into a folder. One that is missing there is left
// out; a folder without any is an error.
func Peers(dir string) ([]Subject, error) {
	var all []Subject
	for _, find := range []func(string) (Subject, error){centrifugoPeer, socketIOPeer} {
		switch s, err := find(dir); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		default:
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there are no other servers in %s: run `make bench-peers`", dir)
	}
	return all, nil
}

// centrifugoPeer is Centrifugo with its default settings, but for those of peers/centrifugo/config.json.
func centrifugoPeer(dir string) (Subject, error) {
	binary, config := filepath.Join(dir, "centrifugo", "centrifugo"), filepath.Join(dir, "centrifugo", "config.json")
	built, err := buildinfo.ReadFile(binary)
	if err != nil {
		return Subject{}, fmt.Errorf("reading the version of Centrifugo: %w", err)
	}
	return Subject{
		Name: CentrifugoName, Dialect: centrifugo{}, Version: built.Main.Version, Ready: "/health",
		Command: func(listen, _ string) []string {
			host, port, _ := net.SplitHostPort(listen) // of our own making
			return []string{binary, "--config=" + config, "--address=" + host, "--port=" + port}
		},
	}, nil
}

// socketIOPeer is peers/socketio/server.mjs on the Node in the PATH.
func socketIOPeer(dir string) (Subject, error) {
	home := filepath.Join(dir, "socketio")
	text, err := os.ReadFile(filepath.Join(home, "node_modules", "socket.io", "package.json"))
	if err != nil {
		return Subject{}, fmt.Errorf("reading the version of Socket.IO: %w", err)
	}
	var about struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(text, &about); err != nil {
		return Subject{}, fmt.Errorf("reading the version of Socket.IO: %w", err)
	}
	node, err := exec.Command("node", "--version").Output()
	if err != nil {
		return Subject{}, fmt.Errorf("asking Node for its version, which runs Socket.IO: %w", err)
	}
	return Subject{
		Name: SocketIOName, Dialect: socketIO{}, Version: about.Version + " on Node " + strings.TrimSpace(string(node)),
		Command: func(listen, _ string) []string {
			return []string{"node", filepath.Join(home, "server.mjs"), listen}
		},
	}, nil
}
