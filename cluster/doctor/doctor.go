// Package doctor says what a machine lacks for building the toolkit and running its drills, what each thing is
// for, and how to get it.
//
// Look gathers facts and decides nothing; Judge decides and looks at nothing, so that every verdict can be
// tested without a machine that has the illness.
package doctor

import (
	"fmt"
	"go/version"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/wedsync/wedsync/cluster/lab"
)

// Facts are what Look found.
type Facts struct {
	Go        string            // such as go1.26.8; empty: none
	Tools     map[string]string // name to path; a tool that is missing is not there
	Packet    error             // why there is no packet-level network; nil: there is
	PortsUsed []int             // of Ports
	Files     uint64            // descriptors a process may have
	Cores     int
	Memory    uint64 // bytes available
}

// Ports are those that `wedsync cluster up` listens on if nothing else is said.
var Ports = []int{4001, 4002, 4003}

// Level says how bad a finding is.
type Level int

const (
	Good Level = iota
	Poor       // the main job runs, with the restriction named
	Bad        // the main job does not run
)

func (l Level) String() string { return [...]string{"ok", "note", "MISSING"}[l] }

// Finding is one line of the diagnosis.
type Finding struct {
	Level   Level
	Subject string
	Found   string
	For     string // what it is needed for
	Cure    string // empty if there is nothing to cure
}

const (
	minGo     = "go1.26"
	minFiles  = 4096 // 1,200 vendors with two sockets each in one process, with something to spare
	minCores  = 2
	minMemory = 2 << 30
)

// Judge turns facts into findings, the most needed first.
func Judge(f Facts) []Finding {
	return []Finding{
		judgeGo(f),
		f.tool("make", Bad, "make evidence, make test", "apt install make"),
		f.tool("git", Bad, "make test (lists the source files)", "apt install git"),
		f.packet(),
		f.files(),
		f.ports(),
		f.machine(),
		f.tool("node", Poor, "working on the web UI and its tests; not for drills", "apt install nodejs npm"),
		f.tool("chromium", Poor, "browser tests and pictures of reports; not for drills", "apt install chromium"),
	}
}

func judgeGo(f Facts) Finding {
	w := Finding{Subject: "Go", Found: f.Go, For: "building everything"}
	cure := "install Go 1.26 or newer from https://go.dev/dl (Debian's golang-go may be older)"
	switch {
	case f.Go == "":
		w.Level, w.Found, w.Cure = Bad, "not found", cure
	case version.Compare(f.Go, minGo) < 0 && version.Compare(f.Go, "go1.21") >= 0:
		w.Level, w.Cure = Poor, "nothing, if it may download Go 1.26 by itself (GOTOOLCHAIN=auto); else "+cure
	case version.Compare(f.Go, minGo) < 0:
		w.Level, w.Cure = Bad, cure
	}
	return w
}

func (f Facts) tool(name string, level Level, why, cure string) Finding {
	if path := f.Tools[name]; path != "" {
		return Finding{Subject: name, Found: path, For: why}
	}
	return Finding{Level: level, Subject: name, Found: "not found", For: why, Cure: cure}
}

func (f Facts) packet() Finding {
	w := Finding{Subject: "private networks", Found: "user and network namespaces, /dev/net/tun", For: "packet-level faults: loss, silent regions with real TCP behind them"}
	if f.Packet != nil {
		w.Level, w.Found = Poor, "refused; user-space proxies stand in, and reports say so"
		w.Cure = f.Packet.Error()
	}
	return w
}

func (f Facts) files() Finding {
	w := Finding{Subject: "open files", Found: fmt.Sprint(f.Files), For: "a descriptor for each of the vendors' sockets"}
	cure := "raise the hard limit of nofile: /etc/security/limits.conf, LimitNOFILE= (systemd), --ulimit nofile= (containers)"
	switch {
	case f.Files < minFiles:
		w.Level, w.Cure = Bad, cure
	case f.Files < lab.FilesWanted:
		w.Level, w.Cure = Poor, cure
	}
	return w
}

func (f Facts) ports() Finding {
	w := Finding{Subject: "ports", Found: fmt.Sprintf("%v are free", Ports), For: "wedsync cluster up (drills need none)"}
	if len(f.PortsUsed) > 0 {
		w.Level, w.Found, w.Cure = Poor, fmt.Sprintf("%v in use", f.PortsUsed), "wedsync cluster up --port-base N"
	}
	return w
}

func (f Facts) machine() Finding {
	w := Finding{Subject: "machine", Found: fmt.Sprintf("%d cores, %.1f GiB of memory free", f.Cores, float64(f.Memory)/(1<<30)),
		For: "1,200 vendors and three servers side by side"}
	if f.Cores < minCores || f.Memory < minMemory {
		w.Level, w.Cure = Poor, "2 cores and 2 GiB, or fewer weddings (--env WEDDINGS=20); a run in which the machine was too slow is judged INVALID, not failed"
	}
	return w
}

// Worst is the level of the worst finding.
func Worst(findings []Finding) (worst Level) {
	for _, f := range findings {
		worst = max(worst, f.Level)
	}
	return worst
}

// Print writes the diagnosis, with the cures below the table.
func Print(out io.Writer, findings []Finding) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, f := range findings {
		fmt.Fprintf(table, "%v\t%s\t%s\t%s\n", f.Level, f.Subject, f.Found, f.For)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, f := range findings {
		if f.Cure != "" {
			fmt.Fprintf(out, "\n%s: %s\n", f.Subject, strings.ReplaceAll(f.Cure, "\n", "\n  "))
		}
	}
	verdict := "This machine can run the drills."
	switch Worst(findings) {
	case Poor:
		verdict = "This machine can run the drills; see the notes."
	case Bad:
		verdict = "This machine cannot run the drills yet."
	}
	_, err := fmt.Fprintln(out, "\n"+verdict)
	return err
}
