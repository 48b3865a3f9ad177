package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/watch"
)

// A peers file names the nodes of the system, one in a line, this one may be among them:
//
//	# after the second node of eu-west was added
//	eu-west-1@eu-west=nats://10.1.0.1:4222
//	eu-west-2@eu-west=nats://10.1.0.2:4222
//
// It is read again as it changes. Its peers count besides those of Config.Peers, and instead of one of
// the same name there.
const (
	maxPeersFile  = 1 << 20
	peersFileLook = 250 * time.Millisecond // two looks and a change of peers take less than a second
)

// ParsePeer reads NODE@REGION=nats://HOST:PORT.
func ParsePeer(spec string) (backbone.Peer, error) {
	who, url, ok := strings.Cut(spec, "=")
	node, region, named := strings.Cut(who, "@")
	if !ok || !named || node == "" || region == "" || !strings.HasPrefix(url, "nats://") {
		return backbone.Peer{}, fmt.Errorf("%q: use NODE@REGION=nats://HOST:PORT", spec)
	}
	return backbone.Peer{Node: node, Region: region, URL: url}, nil
}

// parsePeers reads a peers file and says all that is wrong with it at once.
func parsePeers(name string, text []byte) ([]backbone.Peer, error) {
	var peers []backbone.Peer
	var errs []error
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxPeersFile+1)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		bad := func(err error) { errs = append(errs, fmt.Errorf("%s:%d: %w", name, n, err)) }
		p, err := ParsePeer(line)
		if err == nil {
			err = p.Validate()
		}
		if err != nil {
			bad(err)
			continue
		}
		if slices.ContainsFunc(peers, func(other backbone.Peer) bool { return other.Node == p.Node }) {
			bad(fmt.Errorf("node %q is named twice", p.Node))
			continue
		}
		peers = append(peers, p)
	}
	return peers, errors.Join(append(errs, lines.Err())...)
}

// joinPeers returns the peers of the file, and those of the configuration that it does not name.
func joinPeers(configured, file []backbone.Peer) []backbone.Peer {
	all := slices.Clone(file)
	for _, p := range configured {
		if !slices.ContainsFunc(file, func(other backbone.Peer) bool { return other.Node == p.Node }) {
			all = append(all, p)
		}
	}
	return all
}

// firstPeers returns who the peers are when the node starts, and what the peers file holds.
func (s *Server) firstPeers() (peers []backbone.Peer, file []byte, err error) {
	if s.cfg.PeersFile == "" {
		return s.cfg.Peers, nil, nil
	}
	if file, err = watch.Read(s.cfg.PeersFile, maxPeersFile); err != nil {
		return nil, nil, fmt.Errorf("reading the peers file (set --peers-file): %w", err)
	}
	if peers, err = parsePeers(s.cfg.PeersFile, file); err != nil {
		return nil, nil, fmt.Errorf("the peers file:\n%w", err)
	}
	return joinPeers(s.cfg.Peers, peers), file, nil
}

// followPeers lets the peers be what the file says from now on.
func (s *Server) followPeers(file []byte) {
	if s.cfg.PeersFile == "" {
		return
	}
	f := &watch.File{Path: s.cfg.PeersFile, Kind: "list of peers", Limit: maxPeersFile, Every: peersFileLook, Use: s.usePeers, Logger: s.log}
	s.keepers.Go(func() { f.Run(s.ctx, file) }) // Owner: the server; ends with s.ctx.
}

// usePeers takes new content of the peers file. A file without anybody is taken for one that is about
// to be written: a node without peers would say ok for what it alone holds.
func (s *Server) usePeers(file []byte) error {
	peers, err := parsePeers(s.cfg.PeersFile, file)
	if err != nil {
		return err
	}
	if len(peers) == 0 {
		return fmt.Errorf("%s names nobody: name at least this node", s.cfg.PeersFile)
	}
	return s.backbone.SetPeers(joinPeers(s.cfg.Peers, peers))
}

// peerNames are the other nodes.
func peerNames(peers []backbone.Peer) []string {
	var names []string
	for _, p := range peers {
		names = append(names, p.Node)
	}
	return names
}
