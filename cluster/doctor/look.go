package doctor

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/cluster/lab"
)

// lookFor bounds everything that Look starts.
const lookFor = 20 * time.Second

// Look examines this machine. What it cannot find out counts as missing.
func Look(ctx context.Context) Facts {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	f := Facts{Tools: make(map[string]string), Cores: runtime.NumCPU(), Memory: memory(), Packet: lab.Probe(ctx, "/dev/net/tun")}
	for name, candidates := range map[string][]string{
		"make": {"make"}, "git": {"git"}, "node": {"node", "nodejs"}, "chromium": {"chromium", "chromium-browser", "google-chrome"},
	} {
		for _, c := range candidates {
			if path, err := exec.LookPath(c); err == nil && f.Tools[name] == "" {
				f.Tools[name] = path
			}
		}
	}
	if out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output(); err == nil {
		// A development version has more words behind the first.
		f.Go, _, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	}
	f.Files, _ = lab.RaiseFiles() // the number says enough
	for _, port := range Ports {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			f.PortsUsed = append(f.PortsUsed, port)
			continue
		}
		l.Close()
	}
	return f
}

// memory reads what the kernel estimates to be available to new programs; 0 if it does not say.
func memory() uint64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
