package doctor

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/lab"
)

var update = flag.Bool("update", false, "write the golden files")

// deviceVar makes the test binary a program that asks for the packet-level network with this TUN device.
const deviceVar = "WEDSYNC_DOCTOR_TEST_TUN"

func TestMain(m *testing.M) {
	if device := os.Getenv(deviceVar); device != "" {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := lab.Probe(ctx, device); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("possible for user", os.Getuid())
		return
	}
	os.Exit(m.Run())
}

func healthy() Facts {
	return Facts{Go: "go1.26.8", Tools: map[string]string{"make": "/bin/make", "git": "/bin/git", "node": "/bin/node", "chromium": "/bin/chromium"},
		Files: 20000, Cores: 2, Memory: 8 << 30}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name, subject string
		harm          func(*Facts)
		want          Level
	}{
		{"nothing", "", func(*Facts) {}, Good},
		{"no Go", "Go", func(f *Facts) { f.Go = "" }, Bad},
		{"Go that fetches a newer one", "Go", func(f *Facts) { f.Go = "go1.24.1" }, Poor},
		{"Go too old for that", "Go", func(f *Facts) { f.Go = "go1.19" }, Bad},
		{"newer Go", "", func(f *Facts) { f.Go = "go1.30" }, Good},
		{"no make", "make", func(f *Facts) { delete(f.Tools, "make") }, Bad},
		{"no git", "git", func(f *Facts) { delete(f.Tools, "git") }, Bad},
		{"no node", "node", func(f *Facts) { delete(f.Tools, "node") }, Poor},
		{"no chromium", "chromium", func(f *Facts) { delete(f.Tools, "chromium") }, Poor},
		{"no namespaces", "private networks", func(f *Facts) { f.Packet = errors.New("refused: sysctl this") }, Poor},
		{"few files", "open files", func(f *Facts) { f.Files = 8192 }, Poor},
		{"too few files", "open files", func(f *Facts) { f.Files = 1024 }, Bad},
		{"port in use", "ports", func(f *Facts) { f.PortsUsed = []int{4002} }, Poor},
		{"one core", "machine", func(f *Facts) { f.Cores = 1 }, Poor},
		{"little memory", "machine", func(f *Facts) { f.Memory = 1 << 30 }, Poor},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := healthy()
			c.harm(&f)
			findings := Judge(f)
			if got := Worst(findings); got != c.want {
				t.Errorf("worst is %v, want %v", got, c.want)
			}
			for _, w := range findings {
				if (w.Level != Good) != (w.Subject == c.subject) {
					t.Errorf("%s is %v", w.Subject, w.Level)
				}
				if (w.Level != Good) != (w.Cure != "") || w.For == "" || w.Found == "" {
					t.Errorf("%+v", w)
				}
			}
		})
	}
}

func TestPrint(t *testing.T) {
	ill := healthy()
	ill.Go, ill.PortsUsed, ill.Packet = "", []int{4001}, errors.New("user namespaces are refused\nallow them: sysctl …")
	delete(ill.Tools, "chromium")
	for name, f := range map[string]Facts{"healthy": healthy(), "ill": ill} {
		var out strings.Builder
		if err := Print(&out, Judge(f)); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%s:\n%s\nwant:\n%s", name, out.String(), want)
		}
	}
}

func TestLookFindsWhatIsThere(t *testing.T) {
	if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", Ports[0])); err == nil {
		defer l.Close()
	} // else something else has the port, which serves as well
	f := Look(t.Context())
	if !strings.HasPrefix(f.Go, "go1.") || f.Cores == 0 || f.Memory == 0 || f.Files == 0 {
		t.Errorf("%+v", f)
	}
	if len(f.PortsUsed) == 0 || f.PortsUsed[0] != Ports[0] {
		t.Errorf("port %d is in use, it found %v", Ports[0], f.PortsUsed)
	}
	t.Setenv("PATH", t.TempDir())
	if f := Look(t.Context()); f.Go != "" || len(f.Tools) > 0 {
		t.Errorf("with an empty PATH: %+v", f)
	}
}

// The packet-level network needs no privilege but to open the TUN device, which everybody may on most machines.
func TestNobodyMayHaveThePacketNetwork(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can become nobody")
	}
	if err := lab.Probe(t.Context(), "/dev/net/tun"); err != nil {
		t.Skipf("SKIPPED: this machine refuses it to root already: %v", err)
	}
	// Here the real device may be root's alone, so this is another of the usual mode.
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	device := filepath.Join(dir, "tun")
	if err := errors.Join(os.Chmod(dir, 0o755), syscall.Mknod(device, syscall.S_IFCHR|0o666, 10<<8|200), os.Chmod(device, 0o666)); err != nil {
		t.Skipf("SKIPPED: cannot make a TUN device for nobody: %v", err)
	}
	for _, c := range []struct {
		device, want string
	}{{device, "possible for user 65534"}, {"/dev/net/no-tun", "modprobe tun"}} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), deviceVar+"="+c.device)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.CombinedOutput() // what it says is checked
		if !strings.Contains(string(out), c.want) {
			t.Errorf("with %s: %s", c.device, out)
		}
	}
}
