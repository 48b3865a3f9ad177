package fleet

import (
	"bufio"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestControl(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newStage(t, FleetConfig{Control: path})
	w := s.wedding(s.config(trio()...))
	drill, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer drill.Close()
	s.receipt(w.Urgent("planner-1", "x", time.Time{}))
	line, err := bufio.NewReader(drill).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(line, &r); err != nil || r.Vendors != 3 || r.Joined != 5 || r.Urgent.Sent != 1 || r.Urgent.Delivered != 2 || r.OKMaxMS <= 0 {
		t.Errorf("report %s: %v", line, err)
	}
	if s.fleet.Phase() != DefaultPhase {
		t.Errorf("phase %q before the drill spoke", s.fleet.Phase())
	}
	if _, err := drill.Write([]byte(`{"phase":"fault"}` + "\n")); err != nil {
		t.Fatal(err)
	}
	s.eventually("the phase", func() bool { return s.fleet.Phase() == "fault" })
	if _, err := drill.Write([]byte(`{"stop":true}` + "\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.fleet.Stopped():
	case <-time.After(10 * time.Second):
		t.Fatal("the drill said stop and nothing stopped")
	}
	if err := w.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestControlEndsWithTheDrill(t *testing.T) {
	for name, last := range map[string]string{"gone": "", "nonsense": "{\"phas\":1}\n"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			f := New(FleetConfig{Control: path})
			if err := f.hold(); err != nil {
				t.Fatal(err)
			}
			drill, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := drill.Write([]byte(last)); err != nil {
				t.Fatal(err)
			}
			if last == "" {
				drill.Close()
			}
			select {
			case <-f.Stopped():
			case <-time.After(10 * time.Second):
				t.Error("the schedules go on without a drill")
			}
			f.release()
			drill.Close()
		})
	}
}

// TestShifts: the fleet can be let go and held again, and letting go is not a stop.
func TestShifts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := New(FleetConfig{Control: path})
	for range 3 {
		if err := f.hold(); err != nil {
			t.Fatal(err)
		}
		drill, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		<-f.release()
		drill.Close()
	}
	select {
	case <-f.Stopped():
		t.Error("the end of a shift was taken for the drill's stop")
	default:
	}
}

func TestControlWithoutADrill(t *testing.T) {
	f := New(FleetConfig{Control: filepath.Join(t.TempDir(), "nobody")})
	if err := f.hold(); err == nil || !strings.Contains(err.Error(), "WEDSYNC_CONTROL") {
		t.Errorf("got %v", err)
	}
}
