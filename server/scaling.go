package server

import (
	"fmt"
	"time"

	"github.com/wedsync/wedsync/server/scaling"
	"github.com/wedsync/wedsync/server/watch"
)

const (
	// topicLoad is where the nodes tell each other what they have to do.
	topicLoad = "load"

	scalingFileLook = 250 * time.Millisecond
)

// startScaling says how many nodes there should be from now on, if there is a policy for it. The backbone is there.
func (s *Server) startScaling() error {
	path := s.cfg.ScalingFile
	if path == "" {
		return nil
	}
	text, err := watch.Read(path, scaling.MaxFile)
	if err != nil {
		return fmt.Errorf("reading the scaling policy (set --scaling): %w", err)
	}
	policy, err := scaling.Parse(path, text)
	if err != nil {
		return fmt.Errorf("the scaling policy:\n%w", err)
	}
	monitor, err := scaling.New(scaling.Config{
		Node: s.cfg.Node, Region: s.cfg.Region, Policy: policy,
		Gossip:      func(node string, data []byte) { s.backbone.Gossip(topicLoad, node, data) },
		Connections: s.connected, Messages: s.limits.Events.Average, Draining: s.isStopping,
		Logger: s.log, Registerer: s.registry,
	})
	if err != nil {
		return err
	}
	s.backbone.OnGossip(topicLoad, monitor.Receive)
	// Owner: the server; ends with s.ctx.
	s.keepers.Go(func() {
		if err := monitor.Run(s.ctx); err != nil {
			s.log.Error("scaling has stopped: nobody hears how many nodes there should be", "err", err)
		}
	})
	use := func(text []byte) error {
		policy, err := scaling.Parse(path, text)
		if err != nil {
			return err
		}
		return monitor.Use(policy)
	}
	f := &watch.File{Path: path, Kind: "scaling policy", Limit: scaling.MaxFile, Every: scalingFileLook, Use: use, Logger: s.log}
	s.keepers.Go(func() { f.Run(s.ctx, text) }) // Owner: the server; ends with s.ctx.
	return nil
}
