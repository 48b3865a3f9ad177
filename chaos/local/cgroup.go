package local

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/osthread"
)

// cgroups is a hierarchy of control groups in which this process may limit processor time.
type cgroups struct {
	version int    // 1 or 2
	dir     string // where groups can be made
	mount   string // of the hierarchy
	root    string // path within the hierarchy that the mount shows
}

// String says how a limit comes about.
func (c cgroups) String() string {
	if c.version == 2 {
		return "cgroup v2 cpu.max"
	}
	return "cgroup v1 cpu.cfs_quota_us"
}

// findCgroups finds a hierarchy with the cpu controller in which groups can be made.
func findCgroups() (cgroups, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return cgroups{}, fmt.Errorf("looking for cgroups: %w", err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return cgroups{}, fmt.Errorf("looking for cgroups: %w", err)
	}
	// The group of a group that may be ours to change stands beside our own, since a group of version 2 that has
	// processes cannot have limited groups below it; the root can.
	for _, c := range cpuHierarchies(string(mounts)) {
		beside := filepath.Dir(c.path(c.of(string(own))))
		for _, dir := range []string{c.mount, beside} {
			if c.dir = dir; strings.HasPrefix(dir, c.mount) && c.usable() {
				return c, nil
			}
		}
	}
	return cgroups{}, errors.New("no cpu cgroup here can be written")
}

// cpuHierarchies finds the mounts that may have the cpu controller (proc(5), /proc/pid/mountinfo).
func cpuHierarchies(mountinfo string) (found []cgroups) {
	for line := range strings.Lines(mountinfo) {
		place, kind, ok := strings.Cut(line, " - ")
		at, what := strings.Fields(place), strings.Fields(kind)
		if !ok || len(at) < 5 || len(what) < 3 {
			continue
		}
		c := cgroups{root: at[3], mount: at[4]}
		switch {
		case what[0] == "cgroup2":
			c.version = 2
		case what[0] == "cgroup" && strings.Contains(","+what[2]+",", ",cpu,"):
			c.version = 1
		default:
			continue
		}
		found = append(found, c)
	}
	return found
}

// of returns the group of a process in this hierarchy, from the text of its /proc/<pid>/cgroup.
func (c cgroups) of(text string) string {
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && (c.version == 2 && parts[1] == "" || c.version == 1 && strings.Contains(","+parts[1]+",", ",cpu,")) {
			return parts[2]
		}
	}
	return c.root
}

// path is where a group of the hierarchy stands in the file system.
func (c cgroups) path(group string) string {
	return filepath.Join(c.mount, strings.TrimPrefix(group, c.root))
}

// usable tries the real thing.
func (c cgroups) usable() bool {
	dir := filepath.Join(c.dir, fmt.Sprintf("%s%d-try", groupPrefix, os.Getpid()))
	if os.Mkdir(dir, 0o755) != nil {
		return false
	}
	err := c.write(dir, minCPU)
	return errors.Join(err, os.Remove(dir)) == nil
}

// groupPrefix begins the names of our groups.
const groupPrefix = "wedsync-"

// write sets the limit of a group, in cores.
func (c cgroups) write(dir string, cores float64) error {
	period := throttlePeriod(cores).Microseconds()
	quota := int64(cores * float64(period))
	if c.version == 2 {
		return put(dir, "cpu.max", fmt.Sprintf("%d %d", quota, period))
	}
	return errors.Join(put(dir, "cpu.cfs_period_us", fmt.Sprint(period)), put(dir, "cpu.cfs_quota_us", fmt.Sprint(quota)))
}

// put writes a file of a group, which must be there: a group makes its own files.
func put(dir, name, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// cgroup limits a process by a control group of its own, which exists as long as the limit.
type cgroup struct {
	tree cgroups
	node *cluster.Node
	dir  string

	pid     int
	home    string // the group that the process came from
	janitor *janitor
	counted stalls // at the end of the limit
}

// stalls is what the kernel says about a limit.
type stalls struct {
	periods, throttled int64
	time               time.Duration // that threads have waited, added up
}

// String says it for people.
func (s stalls) String() string {
	return fmt.Sprintf("held up in %d of %d periods, for %v", s.throttled, s.periods, s.time.Round(time.Millisecond))
}

func newCgroup(tree cgroups, n *cluster.Node, injection uint64) *cgroup {
	return &cgroup{tree: tree, node: n, dir: filepath.Join(tree.dir, fmt.Sprintf("%s%d-%d-%s", groupPrefix, os.Getpid(), injection, n.Name))}
}

func (g *cgroup) limit(cores float64) error {
	wrap := func(err error) error { return fmt.Errorf("limiting %s: %w", g.node.Name, err) }
	if !g.node.Alive() {
		return wrap(errors.New("it is not running"))
	}
	g.pid = g.node.Pid()
	group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", g.pid))
	if err != nil {
		return wrap(err)
	}
	g.home = g.tree.path(g.tree.of(string(group)))
	if g.janitor, err = hireJanitor(g.dir); err != nil {
		return wrap(err)
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return wrap(err)
	}
	// The limit first: a process that comes in is limited at once.
	if err := errors.Join(g.tree.write(g.dir, cores), put(g.dir, "cgroup.procs", strconv.Itoa(g.pid))); err != nil {
		return wrap(err)
	}
	return nil
}

// bites waits until the kernel has held the process up.
func (g *cgroup) bites(ctx context.Context) (string, error) {
	members, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	if err != nil || !bytes.Contains(append([]byte("\n"), members...), fmt.Appendf(nil, "\n%d\n", g.pid)) {
		return "not in the group", errors.Join(fmt.Errorf("%s: process %d is not in %s", g.node.Name, g.pid, g.dir), err)
	}
	var s stalls
	err = eventually(ctx, func(context.Context) (err error) {
		if s, err = g.stalls(); err == nil && s.throttled == 0 {
			err = fmt.Errorf("%s: the limit was never reached (%d periods): it needs less than that, so this is no fault; ask for less", g.node.Name, s.periods)
		}
		return err
	})
	return fmt.Sprintf("pid %d was %v", g.pid, s), err
}

// stalls reads the kernel's count.
func (g *cgroup) stalls() (s stalls, err error) {
	f, err := os.Open(filepath.Join(g.dir, "cpu.stat"))
	if err != nil {
		return s, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return s, fmt.Errorf("cpu.stat: %q: %w", lines.Text(), err)
		}
		switch name {
		case "nr_periods":
			s.periods = v
		case "nr_throttled":
			s.throttled = v
		case "throttled_usec": // version 2
			s.time = time.Duration(v) * time.Microsecond
		case "throttled_time": // version 1
			s.time = time.Duration(v)
		}
	}
	return s, nil
}

func (g *cgroup) lift() error {
	if g.janitor == nil {
		return nil // nothing was made
	}
	if s, err := g.stalls(); err == nil { // a second lift finds no group
		g.counted = s
	}
	// A process that has ended needs no way home.
	if err := put(g.home, "cgroup.procs", strconv.Itoa(g.pid)); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("lifting the limit on %s: %w", g.node.Name, err)
	}
	if err := os.Remove(g.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("lifting the limit on %s: %w", g.node.Name, err)
	}
	err := g.janitor.dismiss()
	g.janitor = nil
	return err
}

func (g *cgroup) lifted(context.Context) (string, error) {
	if _, err := os.Stat(g.dir); !errors.Is(err, os.ErrNotExist) {
		return "the group is still there", errors.Join(fmt.Errorf("%s: %s is still there", g.node.Name, g.dir), err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", g.pid))
	if err == nil && g.tree.path(g.tree.of(string(text))) != g.home {
		err = fmt.Errorf("%s: process %d has not come home to %s", g.node.Name, g.pid, g.home)
	}
	return fmt.Sprintf("pid %d is free again, was %v", g.pid, g.counted), err
}

// janitor removes a group should this process be killed (SIGKILL) while it is there: a group, unlike a process, is not
// the kernel's to tidy up. It is a shell that waits for the end of its standard input.
type janitor struct {
	cmd  *exec.Cmd
	life io.Closer // its standard input
}

// tidy waits for the end, and then until the group's last process has gone.
const tidy = `cat >/dev/null; for i in 1 2 3 4 5 6 7 8 9 10; do [ -d "$1" ] || exit 0; rmdir "$1" 2>/dev/null && exit 0; sleep 0.2; done`

func hireJanitor(dir string) (*janitor, error) {
	cmd := exec.Command("sh", "-c", tidy, "wedsync-janitor", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what ends our process group spares it
	life, err := cmd.StdinPipe()
	if err == nil {
		// On a thread that is given up afterwards: it takes the priority of what tidies up, which is not real-time.
		thread := osthread.New()
		defer thread.Close()
		thread.Do(func() { err = errors.Join(osthread.Normal(0), cmd.Start()) })
	}
	if err != nil {
		return nil, fmt.Errorf("starting what tidies up: %w", err)
	}
	return &janitor{cmd, life}, nil
}

// dismiss ends the janitor and returns when it has gone.
func (j *janitor) dismiss() error {
	if err := errors.Join(j.life.Close(), j.cmd.Wait()); err != nil {
		return fmt.Errorf("ending what tidies up: %w", err)
	}
	return nil
}
