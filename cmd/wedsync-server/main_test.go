package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestUsage(t *testing.T) {
	t.Setenv("WEDSYNC_JWT_SECRET", "")
	t.Setenv("WEDSYNC_CLUSTER_SECRET", "")
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"help":          {[]string{"--help"}, exitOK, []string{"Exit codes: 0", "--jwt-secret", "$WEDSYNC_JWT_SECRET"}},
		"nothing":       {nil, exitUsage, []string{"set --node", "set --jwt-secret or WEDSYNC_JWT_SECRET", "set --cluster-secret", "--help"}},
		"unknown flag":  {[]string{"--turbo"}, exitUsage, []string{"unknown flag --turbo"}},
		"peers":         {[]string{"--dev", "--peer", "a=b", "--peer", "x@y=http://z"}, exitUsage, []string{`--peer "a=b"`, `--peer "x@y=http://z"`, "NODE@REGION=nats://HOST:PORT"}},
		"peers, no key": {[]string{"--dev", "--peer", "a@b=nats://127.0.0.1:1"}, exitUsage, []string{"set --cluster-secret"}},
		"peers file":    {[]string{"--dev", "--peers-file", "peers"}, exitUsage, []string{"set --cluster-secret"}},
		"flaw":          {[]string{"--dev", "--flaw", "slow"}, exitUsage, []string{`flaw "slow"`, "drop-urgent:1000"}},
		"sync":          {[]string{"--sync", "never"}, exitUsage, []string{"always"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out output
			code := run(context.Background(), c.args, &out, &out)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
					t.Errorf("%q is missing in:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestPortInUseFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out output
	if code := run(context.Background(), []string{"--dev", "--listen", l.Addr().String()}, &out, &out); code != exitFailure {
		t.Errorf("exit code %d, want %d", code, exitFailure)
	}
	if !strings.Contains(out.String(), l.Addr().String()+" is in use by another process") {
		t.Errorf("output:\n%s", out.String())
	}
}

// A node started as on a laptop serves until it is stopped, and leaves nothing behind.
func TestDevelopmentNode(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out output
	code := make(chan int, 1)
	go func() { // ends with ctx
		code <- run(ctx, []string{"--dev", "--listen", "127.0.0.1:0", "--log-format", "json"}, &out, &out)
	}()
	serving := regexp.MustCompile(`"msg":"serving".*"address":"127\.0\.0\.1:\d+"`)
	deadline, tick := time.Now().Add(10*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !serving.MatchString(out.String()) {
		if time.Now().After(deadline) {
			t.Fatalf("not serving:\n%s", out.String())
		}
		<-tick.C
	}
	cancel()
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d:\n%s", c, out.String())
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
