package cluster

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/cluster/lab"
)

// serverVar makes the test binary play a server that answers /readyz; its value is how it misbehaves.
const serverVar = "WEDSYNC_CLUSTER_TEST_SERVER"

func TestMain(m *testing.M) {
	if how := os.Getenv(serverVar); how != "" {
		os.Exit(playServer(how))
	}
	os.Exit(lab.RunTests(leakChecked{m}))
}

// leakChecked fails a run that leaves goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// playServer has the flags of wedsync-server, counts its starts in its data directory, and is ready once it reaches the
// log ports of all its peers. Its /metrics is the file "metrics-NODE" beside its data.
func playServer(how string) int {
	f := flag.NewFlagSet("server", flag.ExitOnError)
	node, region := f.String("node", "", ""), f.String("region", "", "")
	listen, log, data := f.String("listen", "", ""), f.String("log-listen", "", ""), f.String("data", "", "")
	flaw := f.String("flaw", "", "")
	peersFile := f.String("peers-file", "", "")
	f.Parse(os.Args[1:])
	fmt.Println("starting", *node, "of", *region, "flaw", *flaw)
	switch how {
	case "ends":
		fmt.Println("cannot open the log: the disk is made of cheese")
		return 3
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	if os.Getenv("WEDSYNC_JWT_SECRET") == "" || os.Getenv("WEDSYNC_CLUSTER_SECRET") == "" {
		fmt.Println("no secrets")
		return 2
	}
	if err := os.MkdirAll(*data, 0o755); err != nil {
		fmt.Println(err)
		return 1
	}
	starts, _ := os.ReadFile(filepath.Join(*data, "starts"))
	os.WriteFile(filepath.Join(*data, "starts"), append(starts, 'x'), 0o644)
	peerLog, err := net.Listen("tcp", *log)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer peerLog.Close()
	web, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if how == "unready" {
			http.Error(w, "not today", http.StatusServiceUnavailable)
			return
		}
		peers, err := os.ReadFile(*peersFile)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		for p := range strings.Lines(string(peers)) {
			_, addr, _ := strings.Cut(strings.TrimSpace(p), "=nats://")
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				http.Error(w, "no peer: "+err.Error(), http.StatusServiceUnavailable)
				return
			}
			c.Close()
		}
		fmt.Fprintln(w, "ready", *node)
	})
	http.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(filepath.Dir(*data), "metrics-"+*node))
	})
	server := &http.Server{}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if how == "stubborn" {
		signal.Ignore(syscall.SIGTERM)
	}
	go server.Serve(web)
	<-ctx.Done()
	if how == "fails" {
		fmt.Println("the handover failed")
		return 4
	}
	fmt.Println("stopped as asked")
	return 0
}
