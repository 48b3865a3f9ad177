package drill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/wan"
)

// generator is the k6 process that plays the scenario.
type generator struct {
	cmd    *exec.Cmd
	log    *os.File
	exited chan struct{} // closed when the process has been reaped
	err    error         // its exit, valid once exited is closed
}

// generatorConfig says what k6 runs and where its raw files go.
type generatorConfig struct {
	Binary, Script string
	Env            map[string]string
	Nodes          []*cluster.Node
	Token          string
	Control        string // path of the control socket
	OutDir         string // the bundle: the generator writes OutDir/raw/
	LogFile        string
	Duration       time.Duration
	Seed           uint64
}

// startGenerator starts k6 in the venue. Should this process die, the kernel kills it.
func startGenerator(ctx context.Context, network wan.Network, cfg generatorConfig) (*generator, error) {
	log, err := os.Create(cfg.LogFile)
	if err != nil {
		return nil, fmt.Errorf("creating the generator's log: %w", err)
	}
	cmd := exec.CommandContext(ctx, cfg.Binary, "run", "--no-usage-report", "--address", "", "--no-color", "--quiet",
		"--out", "wedsync="+cfg.OutDir, cfg.Script)
	env := map[string]string{
		"WEDSYNC_REGIONS": regionsList(cfg.Nodes),
		"WEDSYNC_TOKEN":   cfg.Token,
		"WEDSYNC_CONTROL": cfg.Control,
		"DURATION":        cfg.Duration.String(),
		"SEED":            fmt.Sprint(cfg.Seed),
	}
	maps.Copy(env, cfg.Env)
	cmd.Env = append(os.Environ(), rareGC)
	for _, k := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, k+"="+env[k])
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a ^C at the terminal is the drill's to pass on
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	if err := network.Start(wan.Venue, cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("starting k6 (%s): %w", cfg.Binary, err), log.Close())
	}
	g := &generator{cmd: cmd, log: log, exited: make(chan struct{})}
	go func() { // ends when the process has
		g.err = errors.Join(cmd.Wait(), log.Close())
		close(g.exited)
	}()
	return g, nil
}

// wait returns the exit code of k6. A generator that outlives ctx is killed.
func (g *generator) wait(ctx context.Context) (int, error) {
	select {
	case <-g.exited:
	case <-ctx.Done():
		if err := g.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return -1, fmt.Errorf("killing k6: %w", err)
		}
		<-g.exited
		return g.cmd.ProcessState.ExitCode(), fmt.Errorf("k6 did not end by itself: %w", ctx.Err())
	}
	var exit *exec.ExitError
	if g.err != nil && !errors.As(g.err, &exit) {
		return -1, fmt.Errorf("waiting for k6: %w", g.err)
	}
	return g.cmd.ProcessState.ExitCode(), nil
}

// tail returns the last lines of k6's output, for an error message.
func (g *generator) tail() string {
	text, err := os.ReadFile(g.log.Name())
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// regionsList is the nodes as scenarios read them: region=url,region=url,…
func regionsList(nodes []*cluster.Node) string {
	var list []string
	for _, n := range nodes {
		list = append(list, n.Region+"="+n.WebSocket())
	}
	return strings.Join(list, ",")
}

// sibling finds another of our binaries beside the running one.
func sibling(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program's directory: %w", err)
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is not beside wedsync (%s): run `make build`, or name its directory with --bin", name, filepath.Dir(self))
	}
	return path, nil
}
