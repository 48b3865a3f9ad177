package xk6wedsync

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/k6foundry"
)

// TestBuildsWithXK6 builds this repository the way `xk6 build --with github.com/wedsync/wedsync=.` does, through the
// engine that is inside xk6 and with its flags, and asks the binary for its extensions.
func TestBuildsWithXK6(t *testing.T) {
	if testing.Short() {
		t.Skip("builds k6")
	}
	var log bytes.Buffer
	foundry, err := k6foundry.NewNativeFoundry(t.Context(), k6foundry.NativeFoundryOpts{
		GoOpts: k6foundry.GoOpts{CopyGoEnv: true, Env: map[string]string{"CGO_ENABLED": "0"}},
		Stdout: &log, Stderr: &log,
	})
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "k6")
	binary, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = foundry.Build(t.Context(), k6foundry.RuntimePlatform(), k6Version(t),
		[]k6foundry.Module{{Path: "github.com/wedsync/wedsync", ReplacePath: root}}, nil,
		[]string{"-trimpath", "-ldflags", "-s -w"}, binary)
	if cerr := binary.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	out, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"k6/x/wedsync [js]", "wedsync [output]"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not among the extensions:\n%s", want, out)
		}
	}
}

// k6Version is the version that go.mod asks for, which xk6 takes too.
func k6Version(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "go.k6.io/k6").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
