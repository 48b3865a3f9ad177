package source

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wedsync/wedsync/server/changes/pgtest"
)

// proxy stands between a reader and the database, and can fall silent: nothing gets through then,
// and nobody is told.
type proxy struct {
	addr string

	mu     sync.Mutex // guards the following
	thawed chan struct{}
	conns  []net.Conn
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), thawed: make(chan struct{})}
	close(p.thawed)
	var running sync.WaitGroup
	running.Go(func() { // ends with the listener
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close() // it is of no use
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			running.Go(func() { p.pass(in, out) }) // both end with their connections
			running.Go(func() { p.pass(out, in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // it is not used any more
		p.thaw()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close() // nor is this
		}
		p.mu.Unlock()
		running.Wait()
	})
	return p
}

func (p *proxy) pass(to, from net.Conn) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		thawed := p.thawed
		p.mu.Unlock()
		<-thawed
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err == io.EOF {
				_ = to.Close() // the other side has gone
			}
			return
		}
	}
}

func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thawed = make(chan struct{})
}

func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

// TestSilentNetwork: a reader that neither hears nor is heard loses the slot to another one after
// ReleaseAfter, notices, and stands by when it can be reached again.
func TestSilentNetwork(t *testing.T) {
	cfg, db := database(t, pgtest.Start(t), "silence")
	cfg.ReleaseAfter = 500 * time.Millisecond
	sql(t, db, guests, `CREATE PUBLICATION supabase_realtime FOR TABLE guests`)
	direct, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, fmt.Sprintf("127.0.0.1:%d", direct.Port))
	far := cfg
	far.URL = fmt.Sprintf("postgres://postgres@%s/silence", p.addr)
	ja, jb := newJournal(), newJournal()
	a := start(t, far, ja)
	a.waitReading(t)
	sql(t, db, `INSERT INTO guests VALUES (1, 0)`)
	within(t, "the first one publishes", func() bool { return len(ja.all()) == 1 })
	b := start(t, cfg, jb)
	within(t, "the second one stands by", func() bool { return strings.Contains(b.log.String(), "stands by") })

	p.freeze()
	frozen := time.Now()
	sql(t, db, `INSERT INTO guests VALUES (2, 0)`)
	within(t, "the second one publishes", func() bool { all := jb.all(); return len(all) > 0 && string(all[len(all)-1].New[0].Text) == "2" })
	t.Logf("taken over after %v", time.Since(frozen).Round(time.Millisecond))
	within(t, "the first one notices", func() bool { return testutil.ToFloat64(a.m.reading) == 0 })
	if !strings.Contains(a.log.String(), "PostgreSQL has been silent") {
		t.Error("the log does not say why")
	}
	p.thaw()
	within(t, "the first one stands by", func() bool { return strings.Contains(a.log.String(), "stands by") })
}
