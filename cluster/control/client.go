package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// Client speaks to a running cluster.
type Client struct {
	Dir string // of the cluster
}

// Find finds the running cluster among directories that match a pattern; more than one is an error that names them.
func Find(pattern string) (*Client, error) {
	sockets, err := filepath.Glob(filepath.Join(pattern, socketName))
	if err != nil {
		return nil, fmt.Errorf("looking for a running cluster: %w", err)
	}
	var running []string
	for _, socket := range sockets {
		if c, err := Open(filepath.Dir(socket)); err == nil {
			running = append(running, c.Dir)
		}
	}
	switch len(running) {
	case 0:
		return nil, fmt.Errorf("no cluster is running (none in %s): start one with `wedsync cluster up`, or name its directory with --dir", pattern)
	case 1:
		return &Client{running[0]}, nil
	}
	return nil, fmt.Errorf("%d clusters are running: name one with --dir: %s", len(running), strings.Join(running, ", "))
}

// Open speaks to the cluster in a directory; there must be one.
func Open(dir string) (*Client, error) {
	c := &Client{dir}
	conn, err := c.dial(context.Background(), "", "")
	if err != nil {
		return nil, fmt.Errorf("no cluster is running in %s: %w", dir, err)
	}
	return c, conn.Close()
}

// dial has the form that http.Transport wants; where to is known.
func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	dir, path, err := socketPath(c.Dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close() // a connection does not need the path any more
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

// ask sends a request; the caller closes the answer.
func (c *Client) ask(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://cluster"+path, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DialContext: c.dial, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the cluster in %s: %w", c.Dir, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("asking the cluster in %s: %s", c.Dir, response.Status), response.Body.Close())
	}
	return response, nil
}

// Status says how every node is.
func (c *Client) Status(ctx context.Context) (nodes []Status, err error) {
	response, err := c.ask(ctx, http.MethodGet, "/status")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&nodes); err != nil {
		return nil, fmt.Errorf("reading the status: %w", err)
	}
	return nodes, nil
}

// Upgrade replaces every node in turn; server is the path of the new program, empty for the same one. say hears of every
// step.
func (c *Client) Upgrade(ctx context.Context, server string, say func(string)) error {
	return c.operate(ctx, "/upgrade?"+url.Values{"server": {server}}.Encode(), say)
}

// Scale adds or drains nodes of a region until there are so many.
func (c *Client) Scale(ctx context.Context, region string, nodes int, say func(string)) error {
	return c.operate(ctx, "/scale?"+url.Values{"region": {region}, "nodes": {strconv.Itoa(nodes)}}.Encode(), say)
}

func (c *Client) operate(ctx context.Context, path string, say func(string)) error {
	response, err := c.ask(ctx, http.MethodPost, path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("reading the answer %q: %w", lines.Text(), err)
		}
		switch {
		case l.Error != "":
			return errors.New(l.Error)
		case l.Done:
			return nil
		}
		say(l.Text)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: what was begun goes on in the cluster; see `wedsync cluster status`", ctx.Err())
	}
	return errors.New("the cluster has ended")
}
