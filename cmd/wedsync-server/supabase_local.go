package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/wedsync/wedsync/server"
	"github.com/wedsync/wedsync/server/auth"
)

// What a local Supabase shows: the gateway's address, that of the realtime server itself, and the secret
// that its documentation prints. Everybody knows the secret, so nobody but this machine may come in.
const (
	localGateway  = "127.0.0.1:54321"
	localRealtime = "127.0.0.1:4100"
	localSecret   = "super-secret-jwt-token-with-at-least-32-characters-long"
)

// supabaseLocal fills in what the command line left out.
func (c *cli) supabaseLocal(cfg *server.Config) error {
	if cfg.Listen == "" {
		cfg.Listen, cfg.Also = localGateway, []string{localRealtime}
	}
	cfg.Node, cfg.Region = orElse(cfg.Node, "local-1"), orElse(cfg.Region, "local")
	cfg.LogListen = orElse(cfg.LogListen, "127.0.0.1:0")
	cfg.JWTSecret = orElse(cfg.JWTSecret, localSecret)
	cfg.Accounts = true
	if cfg.PolicyFile == "" {
		cfg.Policy = auth.LocalPolicy()
	}
	// One node that nobody else may connect to needs no secret; server.New makes one up.
	cfg.Dev = true
	var errs []error
	for _, address := range append([]string{cfg.Listen, cfg.LogListen}, cfg.Also...) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			continue // server.New says so
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			errs = append(errs, fmt.Errorf("--supabase-local does not listen on %s: its secret is public, so use a loopback address", address))
		}
	}
	return errors.Join(errs...)
}
