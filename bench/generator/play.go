package generator

import (
	"bufio"
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wedsync/wedsync/bench"
	"github.com/wedsync/wedsync/cluster/osthread"
)

// The generators, in the order in which a round plays them.
const (
	Fleet      = "fleet"
	WebSockets = "websockets"
	BareClient = "bare"
)

// Generators lists them.
var Generators = []string{Fleet, WebSockets, BareClient}

//go:embed scripts/fleet.js
var fleetScript []byte

//go:embed scripts/websockets.js
var websocketsScript []byte

// Figures are what a generator took to play a number of weddings for the measured time.
type Figures struct {
	Round     int     `json:"round"`
	Generator string  `json:"generator"`
	Vendors   int     `json:"vendors"`
	Resident  int64   `json:"resident_bytes"` // at the end of the measured time
	CPU       float64 `json:"cpu_s"`          // over the measured time
	Seconds   float64 `json:"seconds"`
	Messages  float64 `json:"messages"` // that the server sent to its members meanwhile
	Expected  float64 `json:"expected"` // that it should have
}

// connectWithin is how long a crowd may take to be there.
const connectWithin = 3 * time.Minute

// play lets a generator play weddings against a server of its own, and measures it.
func (c *Config) play(ctx context.Context, round int, name string, weddings int) (f Figures, err error) {
	f = Figures{Round: round, Generator: name, Vendors: vendors(weddings), Expected: c.perSecond(weddings) * c.Measure.Seconds()}
	server, err := bench.Serve(ctx, bench.Wedsync(c.Server))
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	g, err := c.launch(name, weddings, server.WebSocket)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, g.stop()) }()
	if err := g.await(ctx, connectWithin, func() (bool, error) {
		n, err := metric(ctx, server.HTTP, "wedsync_connections")
		return n == float64(f.Vendors), err
	}); err != nil {
		return f, fmt.Errorf("%s: waiting for %d vendors: %w", name, f.Vendors, err)
	}
	if err := g.pause(ctx, c.Settle); err != nil {
		return f, err
	}
	begun := time.Now()
	cpu, _, err1 := bench.Usage(g.pid())
	sent, err2 := metric(ctx, server.HTTP, "wedsync_messages_delivered_total")
	if err := errors.Join(err1, err2, g.pause(ctx, c.Measure)); err != nil {
		return f, err
	}
	after, resident, err1 := bench.Usage(g.pid())
	more, err2 := metric(ctx, server.HTTP, "wedsync_messages_delivered_total")
	f.Seconds = time.Since(begun).Seconds()
	f.Resident, f.CPU, f.Messages = resident, (after - cpu).Seconds(), more-sent
	f.Expected = c.perSecond(weddings) * f.Seconds
	return f, errors.Join(err1, err2)
}

// process is a generator at work.
type process struct {
	cmd    *exec.Cmd
	thread *osthread.Thread
	dir    string
	log    string
	gone   chan struct{}
}

// launch starts a generator.
func (c *Config) launch(name string, weddings int, server string) (p *process, err error) {
	dir, err := os.MkdirTemp("", "wedsync-generator-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for %s: %w", name, err)
	}
	p = &process{dir: dir, log: filepath.Join(dir, "log"), gone: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	switch name {
	case BareClient:
		p.cmd = exec.Command(c.Self, "bench", "bare", server, strconv.Itoa(weddings), c.Every.String())
	default:
		script, text := filepath.Join(dir, name+".js"), map[string][]byte{Fleet: fleetScript, WebSockets: websocketsScript}[name]
		if err := os.WriteFile(script, text, 0o644); err != nil {
			return nil, fmt.Errorf("writing the script: %w", err)
		}
		p.cmd = exec.Command(c.K6, "run", "--no-usage-report", "--address", "", "--quiet", script)
		p.cmd.Env = append(os.Environ(), "URL="+server, "WEDDINGS="+strconv.Itoa(weddings), "EVERY_MS="+strconv.FormatInt(c.Every.Milliseconds(), 10))
	}
	said, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("making the log of %s: %w", name, err)
	}
	p.cmd.Stdout, p.cmd.Stderr = said, said
	p.thread = osthread.New() // a child dies with the thread that started it
	err = p.thread.Start(p.cmd)
	_ = said.Close() // the process has its own descriptor, and this one has written nothing
	if err != nil {
		p.thread.Close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { // owned by p; ends with the process, which stop sees to
		defer close(p.gone)
		_ = p.cmd.Wait() // a process that was stopped is an error here, and what we wanted
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process, by force if it does not listen.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGINT) // fails if it has ended
	select {
	case <-p.gone:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.gone
	}
	p.thread.Close()
	return os.RemoveAll(p.dir)
}

// pause lets time pass while the process runs.
func (p *process) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.gone:
		return p.early()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await waits until something has come about.
func (p *process) await(ctx context.Context, limit time.Duration, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %v", limit))
	defer cancel()
	for {
		done, err := ok()
		if done || err != nil && ctx.Err() == nil {
			return err
		}
		if err := p.pause(ctx, 100*time.Millisecond); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// early says that the process has ended by itself, and what it said last.
func (p *process) early() error {
	text, _ := os.ReadFile(p.log) // without it the message is shorter
	const most = 2000
	return fmt.Errorf("it has ended by itself (%v); its last words: %s", p.cmd.ProcessState, strings.TrimSpace(string(text[max(0, len(text)-most):])))
}

// metric asks a server for the sum of a metric over its labels.
func metric(ctx context.Context, server, name string) (sum float64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking the server for %s: %w", name, err)
	}
	defer response.Body.Close()
	found := false
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("reading %s: %w", lines.Text(), err)
		}
		sum, found = sum+v, true
	}
	if !found && lines.Err() == nil {
		return 0, fmt.Errorf("the server has no metric %s", name)
	}
	return sum, lines.Err()
}
