package urgent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
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

// runChild publishes as fast as it gets its oks, and prints the id of each event that got one, and
// when the node has caught up with the others.
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
	for i, told := 0, false; ; i++ {
		id := fmt.Sprintf("%s-%d-%d", c.Node, os.Getpid(), i)
		if _, err := l.Publish(context.Background(), event("public:w", id)); err == nil {
			fmt.Println(id) // unbuffered: what was printed had been acknowledged
		}
		if ok, _ := b.CaughtUp(); ok && !told {
			fmt.Println(caughtUp)
			told = true
		}
	}
}

// caughtUp is the line that is no id.
const caughtUp = "caught up"

// child is a node that runs as a process of its own.
type child struct {
	cmd     *exec.Cmd
	reading sync.WaitGroup

	mu       sync.Mutex // guards the following
	acked    []string
	caughtUp bool
}

func startChild(t *testing.T, n *node) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env, err := json.Marshal(childConfig{n.cfg.Node, n.cfg.Region, n.cfg.Listen, n.cfg.Dir, n.cfg.Peers})
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(env))
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill() }) // dead already, if the test went well
	c.reading.Go(func() {                          // ends when the child is dead
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.mu.Lock()
			if lines.Text() == caughtUp {
				c.caughtUp = true
			} else {
				c.acked = append(c.acked, lines.Text())
			}
			c.mu.Unlock()
		}
	})
	return c
}

// runs waits until the child has had so many oks, and has caught up.
func (c *child) runs(t *testing.T, oks int) {
	t.Helper()
	eventually(t, "child", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.acked) < oks || !c.caughtUp {
			return fmt.Errorf("%d of %d acknowledged, caught up: %v", len(c.acked), oks, c.caughtUp)
		}
		return nil
	})
}

// kill ends the child, and returns the ids that had been acknowledged to it.
func (c *child) kill(t *testing.T) []string {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.reading.Wait()
	_ = c.cmd.Wait() // "signal: killed"
	return c.acked
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestAllKilledAtOnceLosesNothing kills three node processes under load, starts them again on what
// they have on disk, and looks for every id that had been acknowledged.
func TestAllKilledAtOnceLosesNothing(t *testing.T) {
	nodes := configs(t, 3, 3)
	var children []*child
	for _, n := range nodes {
		children = append(children, startChild(t, n))
	}
	for _, c := range children {
		c.runs(t, 150)
	}
	for _, c := range children {
		if err := c.cmd.Process.Kill(); err != nil { // all at once
			t.Fatal(err)
		}
	}
	var acked []string
	for _, c := range children {
		c.reading.Wait()
		_ = c.cmd.Wait() // "signal: killed"
		acked = append(acked, c.acked...)
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
		n.holds(acked)
	}
}

// TestKilledAndBackTenTimes kills one node again and again, soon after it has caught up, while all
// publish. Nobody is delayed for long, and in the end everything that was acknowledged is everywhere.
func TestKilledAndBackTenTimes(t *testing.T) {
	nodes := configs(t, 3, 3)
	nodes[0].start()
	nodes[1].start()
	eventually(t, "two nodes", func() error { return errors.Join(nodes[0].b.Ready(), nodes[1].b.Ready()) })
	var acked []string
	done := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() { // ends with done
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				id := fmt.Sprintf("steady-%d", i)
				publish(t, nodes[i%2], event("public:w", id))
				acked = append(acked, id)
				time.Sleep(2 * time.Millisecond) // 500 a second, so that the child gets its share of the machine
			}
		}
	})
	var ofChild []string
	for range 10 {
		c := startChild(t, nodes[2])
		c.runs(t, 10)
		for _, n := range nodes[:2] { // they have what it had when it was gone
			eventually(t, n.cfg.Node, func() error {
				if ok, why := n.b.CaughtUp(); !ok {
					return errors.New(why)
				}
				return nil
			})
		}
		ofChild = append(ofChild, c.kill(t)...)
	}
	close(done)
	load.Wait()
	nodes[2].start()
	for _, n := range nodes {
		n.ready()
	}
	t.Logf("%d acknowledged, %d of them by the node that was killed", len(acked)+len(ofChild), len(ofChild))
	for _, n := range nodes {
		n.holds(append(acked, ofChild...))
	}
	once(t, nodes...)
}

// holds fails for what is not in the log of the node, once.
func (n *node) holds(ids []string) {
	n.t.Helper()
	log := n.log(protocol.Urgent)
	for _, id := range ids {
		if log[id] != 1 {
			n.t.Errorf("%s holds the acknowledged %s %d times", n.cfg.Node, id, log[id])
		}
	}
}
