package client

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"
)

// recorder is the application of a client: it keeps what it is told.
type recorder struct {
	mu         sync.Mutex
	messages   []Message
	duplicates []Message
	states     []State
	receipts   []Receipt
}

func (r *recorder) attach(cfg *Config) {
	cfg.OnMessage = func(m Message) { r.mu.Lock(); r.messages = append(r.messages, m); r.mu.Unlock() }
	cfg.OnDuplicate = func(m Message) { r.mu.Lock(); r.duplicates = append(r.duplicates, m); r.mu.Unlock() }
	cfg.OnState = func(s State) { r.mu.Lock(); r.states = append(r.states, s); r.mu.Unlock() }
	cfg.OnReceipt = func(x Receipt) { r.mu.Lock(); r.receipts = append(r.receipts, x); r.mu.Unlock() }
}

func (r *recorder) ids() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		all = append(all, m.ID)
	}
	return all
}

func (r *recorder) seen() (messages, duplicates []Message, states []State, receipts []Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages), slices.Clone(r.duplicates), slices.Clone(r.states), slices.Clone(r.receipts)
}

// joined returns the regions in which the client is joined now, sorted.
func (r *recorder) joined() (regions []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := map[int]string{}
	for _, s := range r.states {
		delete(now, s.Session)
		if s.Phase == Joined || s.Phase == CaughtUp {
			now[s.Session] = s.Region
		}
	}
	for _, region := range now {
		regions = append(regions, region)
	}
	slices.Sort(regions)
	return regions
}

// state returns the first state that matches.
func (r *recorder) state(region string, p Phase) (State, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.states {
		if s.Region == region && s.Phase == p {
			return s, true
		}
	}
	return State{}, false
}

// newTestClient returns a client of the world, which is closed with the test.
func newTestClient(t testing.TB, w *world, change func(*Config)) (*Client, *recorder) {
	t.Helper()
	r := new(recorder)
	cfg := Config{Endpoints: w.endpoints(), Topic: testTopic, Key: "florist-7", Token: "eyJ", ReturnAfter: DefaultReturnAfter}
	if w.net != nil {
		cfg.NetDial = w.net.dial
	}
	r.attach(&cfg)
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c, r
}

func connect(t testing.TB, c *Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Connect(ctx); err != nil {
		t.Fatal(err)
	}
}

// eventually polls a condition: fast in a bubble, patient outside.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func reason(text string) []byte {
	b, _ := json.Marshal(map[string]any{"status": "error", "response": map[string]string{"reason": text}})
	return b
}
