package backbone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wedsync/wedsync/protocol"
)

// Times of a handover.
const (
	askEvery  = 50 * time.Millisecond
	askWithin = 500 * time.Millisecond
	patience  = dialTimeout + reconnectWait // with a link that is down: it may be up again at once
	handedTo  = 2                           // other regions that make a log safe to leave
)

// errNobody says that there is no use in waiting.
var errNobody = errors.New("no other log can be reached")

// Handover returns when every event that the own logs hold now is held by logs of two other regions, or
// of every other region that can be reached; if there is one region only, by another node of it. After
// that the node can go for good. It asks the peers how far they have read the own log (their repair
// knows: up to there they hold everything), which also makes them go on reading at once.
//
// It ends with ctx, and at once if nobody is left to hand anything to; the error says who lacks what.
func (b *Backbone) Handover(ctx context.Context) error {
	var each [len(lanes)]error
	var asking sync.WaitGroup
	for i, lane := range logged {
		asking.Go(func() { // ends with ctx, or when the lane is handed over
			if err := b.handover(ctx, lane); err != nil {
				each[i] = fmt.Errorf("handing over the %v log: %w", lane, err)
			}
		})
	}
	asking.Wait()
	return errors.Join(each[:]...)
}

func (b *Backbone) handover(ctx context.Context, lane protocol.Lane) error {
	info, err := streamInfo(ctx, b.self[lane].get(), lane)
	if err != nil {
		return err
	}
	if info.State.Msgs == 0 {
		return nil
	}
	end := place{info.Created, info.State.LastSeq}
	known := map[string]uint64{} // what a peer has said stays true when it falls silent
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		at := b.standings(ctx, lane, end, known)
		done, why := handedOver(b.cfg.Region, at)
		if done {
			return nil
		}
		if errors.Is(why, errNobody) {
			return why
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", why, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// standing is how far a peer holds what the own log holds.
type standing struct {
	peer      Peer
	reachable bool
	lacks     uint64 // at most so many events
}

// standings asks every peer that is up, all at once.
func (b *Backbone) standings(ctx context.Context, lane protocol.Lane, end place, known map[string]uint64) []standing {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	now := b.roster.Load()
	links := now.toPeers(lane)
	seqs := make([]uint64, len(links))
	var asking sync.WaitGroup
	for i, l := range links {
		if conn := l.get(); conn != nil && l.up.Load() && known[l.peer.Node] < end.Seq {
			asking.Go(func() { seqs[i] = askPosition(ctx, conn, b.cfg.Node, end.Incarnation) }) // ends with ctx
		}
	}
	asking.Wait()
	var all []standing
	for i, l := range links {
		seq := max(seqs[i], known[l.peer.Node])
		known[l.peer.Node] = seq
		// The urgent link is the first to notice that a peer is gone.
		reachable := now.neighbours[l.peer.Node].links[protocol.Urgent].reachable(patience)
		all = append(all, standing{l.peer, reachable, end.Seq - min(seq, end.Seq)})
	}
	return all
}

// handedOver judges. Not done: the error says who lacks what.
func handedOver(own string, all []standing) (done bool, why error) {
	holders, group := handedTo, func(p Peer) string { return p.Region }
	others := slices.DeleteFunc(slices.Clone(all), func(s standing) bool { return s.peer.Region == own })
	if len(others) == 0 {
		others, holders, group = all, 1, func(p Peer) string { return p.Node }
	}
	holds, lacks := map[string]bool{}, map[string]string{}
	for _, s := range others {
		switch name := group(s.peer); {
		case s.lacks == 0:
			holds[name] = true
		case s.reachable:
			lacks[name] = fmt.Sprintf("%s in %s lacks up to %d events", s.peer.Node, s.peer.Region, s.lacks)
		}
	}
	for name := range holds {
		delete(lacks, name)
	}
	switch {
	case len(others) == 0, len(holds) >= holders, len(holds) > 0 && len(lacks) == 0:
		return true, nil
	case len(lacks) == 0:
		return false, fmt.Errorf("%w: what only this node holds is nowhere else until it is back", errNobody)
	}
	var texts []string
	for _, text := range lacks {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return false, errors.New(strings.Join(texts, "; "))
}

// askPosition returns up to which entry of this node's log the peer holds everything; 0 if it does not
// say, or means an older log of this node.
func askPosition(ctx context.Context, conn *nats.Conn, self string, incarnation time.Time) uint64 {
	answer, err := conn.RequestWithContext(ctx, positionSubject, []byte(self))
	if err != nil {
		return 0 // asked again
	}
	var at place
	if err := json.Unmarshal(answer.Data, &at); err != nil || !at.Incarnation.Equal(incarnation) {
		return 0
	}
	return at.Seq
}

// onPosition tells a peer how far this node has read its log, and goes on reading.
func (b *Backbone) onPosition(lane protocol.Lane, msg *nats.Msg) {
	node := string(msg.Data)
	if n := b.roster.Load().neighbours[node]; n != nil {
		n.repairs[slices.Index(logged, lane)].kick()
	}
	data, err := json.Marshal(b.cursors.place(lane, node))
	if err == nil {
		err = msg.Respond(data)
	}
	if err != nil {
		b.cfg.Logger.Warn("a peer that leaves is not told what is held of it", "peer", node, "err", err)
	}
}
