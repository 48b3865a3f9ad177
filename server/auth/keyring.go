package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/server/watch"
)

const (
	maxJWKS      = 1 << 20          // bytes
	fetchTimeout = 5 * time.Second  // of one request
	pollEvery    = time.Second      // how often a file is looked at
	retryAfter   = 10 * time.Second // after a fetch that failed
	askEvery     = 5 * time.Second  // tokens with an unknown key cause at most one fetch in this time
	askPatience  = 2 * time.Second  // VerifyWait waits no longer
)

// keyring holds the key set of this moment and keeps it new.
type keyring struct {
	current atomic.Pointer[keyset] // never nil

	// Constant.
	name  string        // of the JWKS; "": there is none, and the rest is not used
	fetch source        // reads it
	every time.Duration // how often
	log   *slog.Logger
	asked chan struct{} // capacity 1: somebody waits for a fetch

	// Owned by whoever refreshes: New, then run.
	text    []byte // of the last key set
	problem string // of the last fetch, "" if there was none

	mu    sync.Mutex    // guards the following
	round chan struct{} // closed when the fetch that was asked for is over; nil: none was
	next  time.Time     // when one may be asked for again
}

// source reads a JWKS.
type source func(ctx context.Context) ([]byte, error)

func newKeyring(ctx context.Context, cfg *Config) (*keyring, error) {
	r := &keyring{name: cfg.JWKS, log: cfg.Logger, every: cfg.RefreshEvery, asked: make(chan struct{}, 1)}
	r.current.Store(&keyset{none: cfg.JWKS == "", seen: newSeen()})
	if r.name == "" {
		return r, nil
	}
	if strings.HasPrefix(r.name, "http://") || strings.HasPrefix(r.name, "https://") {
		r.fetch = fromURL(cfg.HTTPClient, r.name)
		if u, err := url.Parse(r.name); err == nil {
			r.name = u.Redacted() // it may hold a password
		}
		if r.every == 0 {
			r.every = DefaultRefresh
		}
	} else {
		r.fetch, r.every = fromFile(r.name), pollEvery
	}
	err := r.refresh(ctx)
	if err != nil && cfg.Secret == "" {
		return nil, err
	}
	// Owner: the context of New; ends with it.
	go r.run(ctx, err != nil)
	return r, nil
}

func fromFile(path string) source {
	return func(context.Context) ([]byte, error) { return watch.Read(path, maxJWKS) }
}

func fromURL(client *http.Client, address string) source {
	if client == nil {
		// Connections are not kept: the next fetch is minutes away.
		client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	}
	return func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }() // only read
		if resp.StatusCode != http.StatusOK {
			return nil, errors.New("the answer is " + resp.Status)
		}
		return readAll(resp.Body, maxJWKS)
	}
}

// run refreshes the keys until ctx ends.
func (r *keyring) run(ctx context.Context, failed bool) {
	defer func() { r.finish(r.begin()) }()
	for {
		wait := r.every
		if failed {
			wait = min(wait, retryAfter)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-r.asked:
			timer.Stop()
		}
		round := r.begin()
		failed = r.refresh(ctx) != nil
		r.finish(round)
	}
}

// refresh reads the JWKS once. When that fails, the keys stay as they were.
func (r *keyring) refresh(ctx context.Context) error {
	text, err := r.fetch(ctx)
	var set *keyset
	var left []error
	if err == nil && !bytes.Equal(text, r.text) {
		set, left, err = parseKeys(text)
	}
	if err != nil {
		err = fmt.Errorf("reading the JWKS %s: %w", r.name, err)
		if r.problem != err.Error() && ctx.Err() == nil {
			r.problem = err.Error()
			r.log.Warn("the JWKS could not be read: the keys stay as they are until it can", "jwks", r.name, "keys", len(r.current.Load().keys), "err", err)
		}
		return err
	}
	if set != nil {
		r.text = text
		r.current.Store(set)
		for _, reason := range left {
			r.log.Warn("the JWKS holds a key that cannot be used", "jwks", r.name, "err", reason)
		}
	}
	if set != nil || r.problem != "" {
		r.log.Info("the JWKS has been read", "jwks", r.name, "keys", len(r.current.Load().keys))
	}
	r.problem = ""
	return nil
}

// ask has the keys fetched again because a token named one that is not known. It never blocks. It
// returns a channel that is closed when that has happened, or nil if it is too early for it.
func (r *keyring) ask() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.round != nil {
		return r.round
	}
	now := time.Now()
	if r.name == "" || now.Before(r.next) {
		return nil
	}
	r.next = now.Add(askEvery)
	r.round = make(chan struct{})
	select {
	case r.asked <- struct{}{}:
	default: // the one before has not been noticed yet
	}
	return r.round
}

// wait asks, and waits until the keys have been fetched if that is due.
func (r *keyring) wait(ctx context.Context) {
	done := r.ask()
	if done == nil {
		return
	}
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// begin takes over what was asked for until now.
func (r *keyring) begin() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.round
}

// finish releases those who wait for a round.
func (r *keyring) finish(round chan struct{}) {
	if round == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.round = nil
	close(round)
}
