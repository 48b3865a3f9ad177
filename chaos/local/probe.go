package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// probe is a way to look at a node: from a place, through the network, as a client would.
type probe struct {
	network wan.Network
	from    string
	to      *cluster.Node
}

// String names the way, for the journal.
func (p probe) String() string { return p.from + " to " + p.to.Name }

// ask requests a path of the node once, and returns the status and the time that it took, connecting excluded.
func (p probe) ask(ctx context.Context, path string) (status int, took time.Duration, err error) {
	rs, err := p.askAll(ctx, path, 1)
	if err != nil {
		return 0, 0, err
	}
	return rs[0].status, rs[0].took, nil
}

type reply struct {
	status int
	took   time.Duration
}

// askAll requests a path count times, one after the other, over one connection.
func (p probe) askAll(ctx context.Context, path string, count int) ([]reply, error) {
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	request := p.request(path)
	replies := make([]reply, 0, count)
	for r := bufio.NewReader(conn); len(replies) < count; {
		begun := time.Now()
		if _, err := conn.Write(request); err != nil {
			return nil, fmt.Errorf("%s: asking for %s: %w", p, path, err)
		}
		status, err := answer(r)
		if err != nil {
			return nil, fmt.Errorf("%s: waiting for %s: %w", p, path, err)
		}
		replies = append(replies, reply{status, time.Since(begun)})
	}
	return replies, nil
}

// burst sends count requests in as many packets, and then reads the answers: many packets in little time.
func (p probe) burst(ctx context.Context, count int) error {
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for range count {
		if _, err := conn.Write(p.request("/healthz")); err != nil {
			return fmt.Errorf("%s: asking: %w", p, err)
		}
	}
	r := bufio.NewReader(conn)
	for range count {
		if _, err := answer(r); err != nil {
			return fmt.Errorf("%s: waiting: %w", p, err)
		}
	}
	return nil
}

// fetch requests a path, and returns how long the answer is and how long it took, connecting excluded.
func (p probe) fetch(ctx context.Context, path string) (bytes int64, took time.Duration, err error) {
	conn, err := p.dial(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	begun := time.Now()
	if _, err := conn.Write(p.request(path)); err != nil {
		return 0, 0, fmt.Errorf("%s: asking for %s: %w", p, path, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: waiting for %s: %w", p, path, err)
	}
	defer response.Body.Close()
	bytes, err = io.Copy(io.Discard, response.Body)
	if err != nil {
		return bytes, 0, fmt.Errorf("%s: reading %s: %w", p, path, err)
	}
	return bytes, time.Since(begun), nil
}

// dial connects; the connection ends with ctx at the latest.
func (p probe) dial(ctx context.Context) (net.Conn, error) {
	conn, err := p.network.DialFrom(ctx, p.from, p.to.Addr())
	if err != nil {
		return nil, fmt.Errorf("%s: connecting: %w", p, err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", p, err), conn.Close())
		}
	}
	return conn, nil
}

func (p probe) request(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + p.to.Addr() + "\r\n\r\n")
}

func answer(r *bufio.Reader) (status int, err error) {
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	// The body must be read to its end for the next answer to begin.
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	return response.StatusCode, nil
}

// within asks once and wants an answer in time, of any status.
func (p probe) within(ctx context.Context, limit time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, took, err := p.ask(ctx, "/healthz")
	return took, err
}

// silent reports whether an error is what silence looks like: nothing came, and nobody said why.
func silent(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT)
}

// probes of the round trip: enough for a median that one slow answer does not move.
const samples = 7

// roundTrip returns the median time of an answer. The first one is not counted: the connection is new.
func (p probe) roundTrip(ctx context.Context) (time.Duration, error) {
	replies, err := p.askAll(ctx, "/healthz", samples+1)
	if err != nil {
		return 0, err
	}
	took := make([]time.Duration, 0, samples)
	for _, r := range replies[1:] {
		took = append(took, r.took)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// ready waits until the node says to the vendors that it is ready.
func ready(ctx context.Context, network wan.Network, n *cluster.Node) (seen string, err error) {
	p := probe{network, wan.Venue, n}
	err = eventually(ctx, func(ctx context.Context) error {
		status, _, err := p.ask(ctx, "/readyz")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%s: /readyz is %d", p, status)
		}
		return err
	})
	if err != nil {
		return "not ready", err
	}
	return fmt.Sprintf("pid %d is ready", n.Pid()), nil
}

// How often a condition is looked at, and how long one look may take.
const (
	lookEvery = 50 * time.Millisecond
	lookFor   = 2 * time.Second
)

// eventually looks until there is nothing to complain about, or ctx ends: then it returns the last
// complaint that was not about ctx.
func eventually(ctx context.Context, look func(context.Context) error) error {
	var last error
	for {
		one, cancel := context.WithTimeout(ctx, lookFor)
		err := look(one)
		cancel()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(lookEvery):
		}
	}
}

// each does something to all nodes at once, and waits for the last.
func each(nodes []*cluster.Node, do func(*cluster.Node) error) error {
	errs := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { errs[i] = do(n) }) // owned by this call, which waits for it
	}
	all.Wait()
	return errors.Join(errs...)
}
