package rehearsal

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/client"
	"github.com/wedsync/wedsync/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestVersionsMeet joins two clients of different versions in different regions: what one says the other hears, and who
// comes back later hears what he missed.
func TestVersionsMeet(t *testing.T) {
	s, err := Start("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	heard := make(chan client.Message, 10)
	join := func(region string, v protocol.Version) *client.Client {
		c, err := client.New(client.Config{Endpoints: []client.Endpoint{{Region: region, URL: s.URLs()[region]}, {Region: "b", URL: s.URLs()["b"]}},
			Topic: "t", Key: region, Version: v, Confirm: true, OnMessage: func(m client.Message) { heard <- m }})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(context.Background()) })
		if err := c.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c
	}
	one, other := join("a", protocol.V1), join("b", protocol.V2)
	for i, from := range []*client.Client{one, other} {
		ack, err := from.Publish(t.Context(), client.Publication{Event: "e", Payload: []byte(`{"n":1}`)})
		if err != nil || len(ack.Held) != 2 {
			t.Fatalf("publish %d: %+v, %v", i, ack, err)
		}
		if m := <-heard; m.ID != ack.ID || string(m.Payload) != `{"n":1}` || m.Replayed {
			t.Errorf("heard %+v", m)
		}
	}

	s.Make(Mischief{Drop: func(_, key string) bool { return key == "a" }})
	ack, err := other.Publish(t.Context(), client.Publication{Event: "e"})
	if err != nil {
		t.Fatal(err)
	}
	s.Kill("a")
	if m := <-heard; m.ID != ack.ID || !m.Replayed || m.Region != "b" {
		t.Errorf("after the fail-over: %+v", m)
	}
	for deadline := time.Now().Add(5 * time.Second); s.Sockets() != 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d sockets, want 2", s.Sockets())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.WaitEmpty(ctx); err == nil {
		t.Error("WaitEmpty did not see the open sockets")
	}
}
