package urgent

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wedsync/wedsync/server/backbone"
)

func TestHoldCountsRegionsNotLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHold(func() int { return 2 })
		h.begin(time.Now(), time.Second)
		h.ack(backbone.Ack{Node: "eu-1", Region: "eu"})
		h.ack(backbone.Ack{Node: "eu-2", Region: "eu"})
		h.ack(backbone.Ack{Node: "us-1", Region: "us", Err: errors.New("disk on fire")})
		_, err := h.wait(t.Context(), 2*time.Second)
		if !errors.Is(err, ErrNotHeld) || !strings.Contains(err.Error(), "disk on fire") || !strings.Contains(err.Error(), "1 of 2 regions") {
			t.Errorf("two logs of one region: %v", err)
		}
		h.ack(backbone.Ack{Node: "ap-1", Region: "ap"})
		h.ack(backbone.Ack{Node: "us-1", Region: "us"})
		held, err := h.wait(t.Context(), 0)
		if err != nil || strings.Join(held.Regions, " ") != "eu ap" {
			t.Errorf("got %v, %v", held, err)
		}
	})
}

func TestHoldBeginsOncePerAttempt(t *testing.T) {
	h := newHold(func() int { return 1 })
	now := time.UnixMilli(1_000_000)
	const deadline = 2 * time.Second
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {0, false}, {900 * time.Millisecond, false}, {1100 * time.Millisecond, true}, {1200 * time.Millisecond, false}, {time.Hour, true}} {
		if got := h.begin(now.Add(step.after), deadline); got != step.want {
			t.Errorf("after %v: %v, want %v", step.after, got, step.want)
		}
	}
	h.ack(backbone.Ack{Region: "eu"})
	if h.begin(now.Add(2*time.Hour), deadline) {
		t.Error("a hold that succeeded is written again")
	}
}
