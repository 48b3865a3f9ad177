package drill

import (
	"bufio"
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// generatorEnd connects to a control socket as the generator does.
func generatorEnd(t *testing.T) (*control, net.Conn, *bufio.Reader) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "control.sock")
	c, err := listenControl(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return c, conn, bufio.NewReader(conn)
}

func TestControlHearsReports(t *testing.T) {
	c, conn, _ := generatorEnd(t)
	if _, err := conn.Write([]byte("not json\n" + `{"vendors":12,"joined":23,"homes":24,"urgent":{"sent":2,"expected":22,"delivered":20,"pending":1}}` + "\n")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.await(ctx, func(s Status) bool { return s.Vendors == 12 }); err != nil {
		t.Fatal(err)
	}
	if lost := c.latest().Urgent.Lost(); lost != 1 {
		t.Fatalf("lost %d, want 1: 22 expected, 20 delivered, 1 under way", lost)
	}
}

func TestControlTellsTheLatestToALateGenerator(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	c, err := listenControl(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, phase := range []string{"before", "fault"} {
		if err := c.tell(command{Phase: phase}); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || line != `{"phase":"fault"}`+"\n" {
		t.Fatalf("heard %q, %v", line, err)
	}
}

func TestControlAwaitEndsWithItsContext(t *testing.T) {
	c, _, _ := generatorEnd(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.await(ctx, func(Status) bool { return false }); err == nil {
		t.Fatal("waited for nothing and said it was there")
	}
}
