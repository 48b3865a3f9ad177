package fleet

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func scheduleFor(t *testing.T, id string, cfg ScheduleConfig) (*Schedule, *Wedding) {
	t.Helper()
	w := &Wedding{fleet: New(FleetConfig{}), leaving: make(chan struct{})}
	w.cfg.ID, w.cfg.Seed = id, 7
	s, err := w.Schedule(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, w
}

// TestScheduleIsNeverMoved lets the caller be late: the instants stay where they were and are handed out at once.
func TestScheduleIsNeverMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := scheduleFor(t, "w001", ScheduleConfig{Every: time.Second, For: 10 * time.Second})
		first, ok := s.Next(t.Context())
		if !ok || !time.Now().Equal(first) {
			t.Fatalf("first instant %v at %v", first, time.Now())
		}
		time.Sleep(5500 * time.Millisecond) // busy
		for k := 1; k < 10; k++ {
			before := time.Now()
			at, ok := s.Next(t.Context())
			want := first.Add(time.Duration(k) * time.Second)
			if !ok || !at.Equal(want) {
				t.Fatalf("instant %d is %v, want %v", k, at.Sub(first), want.Sub(first))
			}
			if k <= 5 && !time.Now().Equal(before) {
				t.Errorf("instant %d, missed already, was waited for", k)
			}
		}
		if _, ok := s.Next(t.Context()); ok {
			t.Error("the schedule goes on after its time")
		}
	})
}

func TestScheduleSpreadsAndJitters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		cfg := ScheduleConfig{Every: 5 * time.Second, Jitter: time.Second}
		s, _ := scheduleFor(t, "w001", cfg)
		other, _ := scheduleFor(t, "w002", cfg)
		again, _ := scheduleFor(t, "w001", cfg)
		if s.first.Equal(other.first) || s.first.Sub(begin) > cfg.Every {
			t.Errorf("shifts %v and %v", s.first.Sub(begin), other.first.Sub(begin))
		}
		moved := false
		for k := range 20 {
			at, _ := s.Next(t.Context())
			off := at.Sub(s.first) - time.Duration(k)*cfg.Every
			if off < -cfg.Jitter/2 || off > cfg.Jitter/2 {
				t.Errorf("instant %d is off by %v", k, off)
			}
			moved = moved || off != 0
			if same, _ := again.Next(t.Context()); !same.Equal(at) {
				t.Errorf("instant %d differs with the same seed", k)
			}
		}
		if !moved {
			t.Error("the jitter moves nothing")
		}
	})
}

func TestScheduleEnds(t *testing.T) {
	for name, end := range map[string]func(w *Wedding, cancel func()){
		"stop":    func(w *Wedding, _ func()) { w.fleet.sayStop(); w.fleet.sayStop() },
		"leave":   func(w *Wedding, _ func()) { close(w.leaving) },
		"context": func(_ *Wedding, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, w := scheduleFor(t, "w001", ScheduleConfig{Every: time.Hour})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(time.Second, func() { end(w, cancel) })
				begin := time.Now()
				if _, ok := s.Next(ctx); ok && time.Since(begin) > time.Second {
					t.Error("the schedule goes on")
				}
				time.Sleep(time.Hour)
				if _, ok := s.Next(ctx); ok {
					t.Error("an instant that has come went before an end that had")
				}
			})
		})
	}
}
