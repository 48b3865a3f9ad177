package urgent

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/server/backbone"
)

// childEnv holds the configuration of a node that runs as a process of its own; see TestMain.
const childEnv = "WEDSYNC_URGENT_TEST_CHILD"

type childConfig struct {
	Node, Region, Listen, Dir string
	Peers                     []backbone.Peer
}

// runChild publishes as fast as it gets its oks, and prints the id of each event that got one.
func runChild() {
	var c childConfig
	if err := json.Unmarshal([]byte(os.Getenv(childEnv)), &c); err != nil {
		fatal(err)
	}
	b, err := backbone.Start(context.Background(), backbone.Config{
		Node: c.Node, Region: c.Region, Listen: c.Listen, Dir: c.Dir, Peers: c.Peers, Secret: secret, SyncAlways: true,
	})
	if err != nil {
		fatal(err)
	}
	l, err := New(Config{Backbone: b, Deliver: func(*backbone.Event) {}})
	if err != nil {
		fatal(err)
	}
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%d", c.Node, i)
		if _, err := l.Publish(context.Background(), event("public:w", id)); err == nil {
			fmt.Println(id) // unbuffered: what was printed had been acknowledged
		}
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestAllKilledAtOnceLosesNothing kills three node processes under load, starts them again on what
// they have on disk, and looks for every id that had been acknowledged.
func TestAllKilledAtOnceLosesNothing(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	nodes := configs(t, 3, 3)
	var mu sync.Mutex // guards acked
	var acked []string
	var readers sync.WaitGroup
	var children []*exec.Cmd
	for _, n := range nodes {
		env, err := json.Marshal(childConfig{n.cfg.Node, n.cfg.Region, n.cfg.Listen, n.cfg.Dir, n.cfg.Peers})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childEnv+"="+string(env))
		cmd.Stderr = os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, cmd)
		readers.Go(func() { // ends when the child is dead
			for lines := bufio.NewScanner(out); lines.Scan(); {
				mu.Lock()
				acked = append(acked, lines.Text())
				mu.Unlock()
			}
		})
	}
	t.Cleanup(func() {
		for _, cmd := range children {
			_ = cmd.Process.Kill() // dead already, if the test went well
		}
	})
	eventually(t, "load", func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(acked) < 500 {
			return fmt.Errorf("%d of 500 acknowledged", len(acked))
		}
		return nil
	})
	for _, cmd := range children {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
	for _, cmd := range children {
		_ = cmd.Wait() // "signal: killed"
	}

	start := time.Now()
	for _, n := range nodes {
		n.start()
	}
	for _, n := range nodes {
		n.ready()
	}
	t.Logf("%d acknowledged; caught up %v after the restart", len(acked), time.Since(start))
	for _, n := range nodes {
		ids := n.log(protocol.Urgent)
		for _, id := range acked {
			if ids[id] != 1 {
				t.Errorf("%s holds the acknowledged %s %d times", n.cfg.Node, id, ids[id])
			}
		}
	}
}
