package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/wedsync/wedsync/internal/loopback"
	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/changes/pgtest"
	"github.com/wedsync/wedsync/server/limit"
)

const (
	secret   = "a-secret-of-at-least-thirty-two-bytes"
	patience = 15 * time.Second
)

// node is one running server.
type node struct {
	*server.Server
	postgres *pgtest.Server // nil without a database
	database string         // its URL
}

// start runs a node of the test's own until the test ends.
func start(t *testing.T, change ...func(*server.Config)) *node {
	t.Helper()
	n, err := run(t.TempDir(), change...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// common is the node of all cases that need nothing special; TestMain ends it.
var common struct {
	once sync.Once
	dir  string
	node *node
	err  error
}

// plain returns the common node. Its cases stay out of each other's way by their topics.
func plain(t *testing.T) *node {
	t.Helper()
	common.once.Do(func() {
		if common.dir, common.err = os.MkdirTemp("", "wedsync-conformance-"); common.err == nil {
			common.node, common.err = run(common.dir)
		}
	})
	if common.err != nil {
		t.Fatal(common.err)
	}
	return common.node
}

func endCommon() error {
	var err error
	if common.node != nil {
		err = common.node.stop()
	}
	return errors.Join(err, os.RemoveAll(common.dir)) // nothing, if it was never used
}

// starting bounds how many nodes start at a time: the log server of a node gives a connection a few
// seconds, which is little when fifty of them share two processors.
var starting = make(chan struct{}, 2)

// run starts a node. Refusals come at once and rates are out of reach, unless its test says otherwise.
func run(dir string, change ...func(*server.Config)) (*node, error) {
	starting <- struct{}{}
	defer func() { <-starting }()
	cfg := server.Config{
		Node: "eu-west-1", Region: "eu-west", Listen: "127.0.0.1:0", LogListen: "127.0.0.1:0",
		Dir: dir, JWTSecret: secret, ClusterSecret: "cluster-secret", SyncInterval: true,
		ErrorBackoff: time.Millisecond, JoinErrorBackoff: time.Millisecond, Limits: limit.Default(),
	}
	cfg.Limits.EventsPerSecond = 1_000_000
	cfg.Limits.JoinsPerSecond, cfg.Limits.PresencePerSecond, cfg.Limits.ChangesPerSecond, cfg.Limits.ConnectsPerSecond = 0, 0, 0, 0
	for _, c := range change {
		c(&cfg)
	}
	s, err := server.New(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.Start(context.Background()); err != nil {
		return nil, err
	}
	return &node{Server: s}, nil
}

func (n *node) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		return fmt.Errorf("closing a node: %w", err)
	}
	return nil
}

// startThree runs one node in each of three regions and waits until all of them are ready.
func startThree(t *testing.T, change ...func(*server.Config)) []*node {
	t.Helper()
	var peers []backbone.Peer
	for _, region := range []string{"eu-west", "us-east", "ap-south"} {
		peers = append(peers, backbone.Peer{Node: region + "-1", Region: region, URL: "nats://" + loopback.Must(t)})
	}
	var nodes []*node
	for _, me := range peers {
		place := func(c *server.Config) {
			c.Node, c.Region, c.LogListen, c.Peers = me.Node, me.Region, strings.TrimPrefix(me.URL, "nats://"), peers
		}
		nodes = append(nodes, start(t, append([]func(*server.Config){place}, change...)...))
	}
	for _, n := range nodes {
		waitFor(t, "a node to be ready", func() bool { return n.Ready() == nil })
	}
	return nodes
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		<-tick.C
	}
}

// sign makes a token of our secret.
func sign(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	return signWith(t, jwt.SigningMethodHS256, []byte(secret), "", claims)
}

// signWith makes a token of any key; an empty key id leaves kid out.
func signWith(t *testing.T, method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// of returns the claims of a role for an hour, with more of them in pairs of name and value.
func of(role string, more ...any) jwt.MapClaims {
	claims := jwt.MapClaims{"role": role, "exp": time.Now().Add(time.Hour).Unix()}
	for i := 0; i < len(more); i += 2 {
		claims[more[i].(string)] = more[i+1]
	}
	return claims
}
